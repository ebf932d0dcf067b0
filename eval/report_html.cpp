// eval/report_html.cpp: the page. Templates and style are in templates/; ctemplate escapes every
// value for its place (text, attribute, style), so that no name or text can become markup. What is
// inserted as is (":none") is our own.
#include <ctemplate/template.h>

#include <cmath>
#include <map>

#include "core/text.h"
#include "eval/comparison_text.h"
#include "eval/embedded_texts.h"
#include "eval/forest.h"
#include "eval/number_text.h"
#include "eval/page_template.h"
#include "eval/report.h"
#include "eval/report_parts.h"

namespace polygraft::eval {
namespace {

using ctemplate::TemplateDictionary;

const char* mark(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "✓";
    case Outcome::kFail:
      return "✕";
    case Outcome::kInsufficient:
      return "?";
    case Outcome::kNotComparable:
      return "≠";
  }
  return "";
}

std::string outcome_words(Outcome outcome) {
  return outcome == Outcome::kNotComparable ? "not comparable" : std::string(outcome_name(outcome));
}

/// Keeps a number and its unit on one line.
std::string unbroken(std::string text) {
  for (const char* unit : {" %", " pp"}) {
    for (size_t at = text.find(unit); at != std::string::npos; at = text.find(unit, at)) {
      text.replace(at, 1, "\xC2\xA0");
    }
  }
  return text;
}

void add_tile(TemplateDictionary& page, const std::string& label, const std::string& value,
              const std::string& note) {
  TemplateDictionary* tile = page.AddSectionDictionary("TILE");
  set(*tile, "LABEL", label);
  set(*tile, "VALUE", value);
  set(*tile, "NOTE", note);
}

std::string measure_text(const ForestGroup& group) {
  switch (group.scale) {
    case Scale::kRelative:
      return "bits per byte";
    case Scale::kPoints:
      return "accuracy";
    case Scale::kOwn:
      return "other scores";
  }
  return "";
}

/// As text, by size.
std::map<double, std::string> margins_of(const ForestGroup& group) {
  std::map<double, std::string> margins;
  for (const LanguageTest* test : group.tests) margins[std::abs(test->margin)] = margin_text(*test);
  return margins;
}

/// "+0.2 %", or all that the group's tests are held against, smallest first.
std::string margins_text(const ForestGroup& group) {
  const std::map<double, std::string> margins = margins_of(group);
  if (margins.size() == 1) return margins.begin()->second;
  return concat(margins.begin()->second, " to ", margins.rbegin()->second);
}

std::string hint_text(const ForestGroup& group, const GateConfig& gate) {
  const bool relative = group.scale == Scale::kRelative;
  return concat(relative ? "Lower" : "Higher",
                " is better. The upright stroke decides: the bound that the change is ",
                relative ? "below" : "above", " with ", confidence_text(gate.confidence),
                " confidence. ", relative ? "Left" : "Right",
                " of the dashed margin line it passes, given ", gate.min_documents,
                " documents or more.");
}

void fill_verdict(TemplateDictionary& page, const Comparison& comparison) {
  const Verdict verdict = verdict_of(comparison);
  const TestNames names(comparison);
  set(page, "HEADLINE", verdict.headline);
  set(page, "DETAIL", unbroken(verdict.detail));
  set(page, "OUTCOME", std::string(outcome_name(comparison.outcome)));
  set(page, "MARK", mark(comparison.outcome));
  if (const LanguageTest* worst = comparison.worst()) {
    add_tile(page, "Worst old language: " + names.of(*worst), change_text(*worst),
             change_interval_text(*worst));
  }
  int64_t documents = 0;
  for (const LanguageTest& test : comparison.tests) {
    documents += test.estimate.num_documents;
    if (!test.is_new || test.outcome == Outcome::kNotComparable) continue;
    add_tile(page, "New language: " + names.of(test), change_text(test),
             change_interval_text(test));
  }
  for (const ForestGroup& group : forest_groups(comparison)) {
    if (group.is_new) continue;
    add_tile(page, concat("Margin for old languages: ", measure_text(group)), margins_text(group),
             concat("one-sided, ", confidence_text(comparison.gate.confidence), " confidence"));
  }
  add_tile(page, "Evidence", human_count(static_cast<uint64_t>(documents)), "paired documents");
}

void fill_row(TemplateDictionary& row, const LanguageTest& test, const std::string& name,
              const ForestAxis& axis, bool own_margin) {
  const auto at = [&](double change) { return fixed(axis.percent(change), 2); };
  set(row, "OUTCOME", std::string(outcome_name(test.outcome)));
  set(row, "OUTCOME_TEXT", outcome_words(test.outcome));
  set(row, "MARK", mark(test.outcome));
  set(row, "LANGUAGE", name);
  if (test.metric != "bits_per_byte") {  // the heading says it already
    set(*row.AddSectionDictionary("METRIC_NAME"), "METRIC", test.metric);
  }
  set(row, "ZERO", at(0));
  set(row, "MARGIN_AT", at(test.margin));
  for (const double tick : axis.ticks) set(*row.AddSectionDictionary("GRID"), "AT", at(tick));
  if (test.outcome == Outcome::kNotComparable) return;
  set(row, "BASELINE", level_text(test, test.estimate.baseline));
  set(row, "CANDIDATE", level_text(test, test.estimate.candidate));
  set(row, "CHANGE", change_text(test));
  set(row, "INTERVAL_TEXT", change_interval_text(test));
  set(row, "P", p_text(test.p_adjusted));
  set(row, "DOCUMENTS", human_count(static_cast<uint64_t>(test.estimate.num_documents)));
  TemplateDictionary* drawn = row.AddSectionDictionary("INTERVAL");
  const auto& [low, high] = test.interval;
  set(*drawn, "LOW", at(low));
  set(*drawn, "WIDTH", fixed(axis.percent(high) - axis.percent(low), 2));
  if (own_margin) set(*row.AddSectionDictionary("OWN_MARGIN"), "MARGIN", margin_text(test));
  set(*drawn, "DOT", at(test.change()));
  if (std::isfinite(test.bound))
    set(*drawn->AddSectionDictionary("DECIDES"), "BOUND", at(test.bound));
}

void fill_reasons(TemplateDictionary& section, const ForestGroup& group, const TestNames& names) {
  TemplateDictionary* list = nullptr;
  for (const LanguageTest* test : group.tests) {
    if (!test->reason_matters()) continue;
    if (list == nullptr) list = section.AddSectionDictionary("REASONS");
    TemplateDictionary* reason = list->AddSectionDictionary("REASON");
    set(*reason, "WHO", names.of(*test));
    set(*reason, "WHAT", unbroken(test->reason));
  }
}

void fill_forest(TemplateDictionary& section, const ForestGroup& group,
                 const Comparison& comparison) {
  const GateConfig& gate = comparison.gate;
  const TestNames names(comparison);
  const ForestAxis axis = forest_axis(group);
  set(section, "HEADING",
      concat(group.is_new ? "New languages: " : "Old languages: ", measure_text(group)));
  set(section, "HINT", hint_text(group, gate));
  set(section, "CONFIDENCE", confidence_text(gate.confidence));
  set(section, "MARGIN", margins_text(group));
  for (const double tick : axis.ticks) {
    TemplateDictionary* mark_at = section.AddSectionDictionary("TICK");
    set(*mark_at, "AT", fixed(axis.percent(tick), 2));
    set(*mark_at, "TEXT", tick_text(axis, tick, group.scale));
  }
  for (const LanguageTest* test : group.tests) {
    fill_row(*section.AddSectionDictionary("ROW"), *test, names.of(*test), axis,
             margins_of(group).size() > 1);
  }
  fill_reasons(section, group, names);
}

}  // namespace

std::string report_html(const Report& report, bool stands_alone) {
  TemplateDictionary page("report");
  set(page, "TITLE", report.title);
  set_verbatim(page, "STYLE", kReportStyle);
  set_verbatim(page, "SCRIPT", kReportScript);
  set_verbatim(page, "CHART_LIBRARY", kChartLibrary);
  fill_verdict(page, report.comparison);
  for (const ForestGroup& group : forest_groups(report.comparison)) {
    fill_forest(*page.AddSectionDictionary("FOREST"), group, report.comparison);
  }
  if (!report.comparison.tests.empty()) {
    set(*page.AddSectionDictionary("METHOD"), "TEXT", method_note(report.comparison));
  }
  fill_parts(page, report);
  if (!report.resolved_config.empty()) {
    set(*page.AddSectionDictionary("CONFIG"), "YAML", report.resolved_config, /*keep_lines=*/true);
  }
  if (!stands_alone) page.ShowSection("OTHER_FORMS");
  return expand_template(kReportTemplate, page);
}

}  // namespace polygraft::eval
