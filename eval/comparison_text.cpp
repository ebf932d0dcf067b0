// eval/comparison_text.cpp: a comparison for people: terminal, pull request, and the sentence on
// top of both.
#include "eval/comparison_text.h"

#include <algorithm>
#include <set>

#include "core/text.h"
#include "eval/number_text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

constexpr size_t kFirstNumber = 2;

bool has_noise(const Comparison& comparison) {
  return std::any_of(comparison.tests.begin(), comparison.tests.end(),
                     [](const LanguageTest& test) { return test.noise.has_value(); });
}

/// A noise floor, where one was measured, stands behind the change's interval.
std::vector<std::string> header(bool noise) {
  std::vector<std::string> out = {"language",  "metric", "baseline",
                                  "candidate", "change", "interval"};
  if (noise) out.emplace_back("noise floor");
  for (const char* name : {"margin", "p (Holm)", "documents", "outcome"}) out.emplace_back(name);
  return out;
}

std::string noise_text(const LanguageTest& test) {
  if (!test.noise) return "";
  return concat(change_text(test, test.noise->change), " ",
                change_text(test, test.noise->interval));
}

std::vector<std::string> row(const LanguageTest& test, const TestNames& names, bool noise) {
  const std::string name = concat(names.of(test), test.is_new ? " (new)" : "");
  std::vector<std::string> out = {name, test.metric};
  const size_t num_columns = header(noise).size();
  if (test.outcome == Outcome::kNotComparable) {
    out.resize(num_columns - 1);
  } else {
    out.push_back(level_text(test, test.estimate.baseline));
    out.push_back(level_text(test, test.estimate.candidate));
    out.push_back(change_text(test));
    out.push_back(change_interval_text(test));
    if (noise) out.push_back(noise_text(test));
    out.push_back(margin_text(test));
    out.push_back(p_text(test.p_adjusted));
    out.push_back(human_count(static_cast<uint64_t>(test.estimate.num_documents)));
  }
  out.emplace_back(outcome_name(test.outcome));
  return out;
}

std::vector<std::vector<std::string>> rows(const Comparison& comparison, const TestNames& names,
                                           bool noise) {
  std::vector<std::vector<std::string>> out;
  for (const LanguageTest& test : comparison.tests) out.push_back(row(test, names, noise));
  return out;
}

/// What keeps the gate from passing, and what it passes on one document's account.
std::vector<std::string> reasons(const Comparison& comparison, const TestNames& names) {
  std::vector<std::string> out;
  for (const LanguageTest& test : comparison.tests) {
    if (test.reason_matters()) out.push_back(concat(names.of(test), ": ", test.reason));
  }
  return out;
}

/// Of every test whose answers are right or wrong, how many changed sides.
std::vector<std::string> answers_changed(const Comparison& comparison) {
  std::vector<std::string> out;
  for (const LanguageTest& test : comparison.tests) {
    if (!test.answers) continue;
    const std::optional<double> p = test.answers->mcnemar_p;
    out.push_back(concat(test.task, " ", test.metric, ": ", test.answers->lost, " answers lost, ",
                         test.answers->won, " won (",
                         p ? concat("exact McNemar ", p_statement(*p))
                           : "several of a document, which McNemar's test does not allow",
                         ")"));
  }
  return out;
}

std::string tests_text(size_t number) { return concat(number, number == 1 ? " test" : " tests"); }

/// "1 test beyond the margin.", or what a new language lacks, or both.
std::string failures_text(const Comparison& comparison) {
  size_t num_old = 0, num_new = 0;
  for (const LanguageTest& test : comparison.tests) {
    if (test.outcome == Outcome::kFail) ++(test.is_new ? num_new : num_old);
  }
  std::vector<std::string> parts;
  if (num_old > 0) parts.push_back(tests_text(num_old) + " beyond the margin");
  if (num_new > 0) parts.push_back(tests_text(num_new) + " of a new language without its gain");
  return join(parts, ", ") + ".";
}

std::string gains_text(const Comparison& comparison, const TestNames& names) {
  std::string out;
  for (const LanguageTest& test : comparison.tests) {
    if (!test.is_new || test.outcome == Outcome::kNotComparable) continue;
    out += concat(" New language ", names.of(test), ": ", change_text(test), " ",
                  change_interval_text(test), ".");
  }
  return out;
}

/// The verdict over all tests, with the rows of the `shown` ones.
std::string markdown_of(const Comparison& all, const Comparison& shown, bool stands_alone) {
  const bool noise = has_noise(shown);
  const TestNames names(all);
  std::string out = concat("**", markdown_text(comparison_verdict(all)), "**\n\n");
  out += markdown_table(header(noise), rows(shown, names, noise), kFirstNumber) + "\n";
  std::string list;
  for (const auto& lines : {reasons(shown, names), answers_changed(shown)}) {
    for (const std::string& line : lines) list += concat("- ", markdown_text(line), "\n");
  }
  const size_t left_out = all.tests.size() - shown.tests.size();
  if (left_out > 0)
    list += concat("- ", tests_text(left_out), " left out to keep this short; ",
                   stands_alone ? "--json FILE has all" : "report.json has all", "\n");
  return out + list + (list.empty() ? "" : "\n") + method_note(all) + "\n";
}

}  // namespace

namespace {

template <class Change>
std::string scaled_text(Scale scale, Change change) {
  switch (scale) {
    case Scale::kRelative:
      return signed_percent(change);
    case Scale::kPoints:
      return signed_points(change);
    case Scale::kOwn:
      return signed_number(change);
  }
  return "";
}

}  // namespace

std::string change_text(const LanguageTest& test, double change) {
  return scaled_text(test.scale, change);
}

std::string change_text(const LanguageTest& test, Interval change) {
  return scaled_text(test.scale, change);
}

std::string change_text(const LanguageTest& test) { return change_text(test, test.change()); }

std::string change_interval_text(const LanguageTest& test) {
  return change_text(test, test.interval);
}

std::string margin_text(const LanguageTest& test) { return change_text(test, test.margin); }

std::string level_text(const LanguageTest& test, double level) {
  return test.scale == Scale::kPoints ? fixed(100 * level, 1) + " %" : fixed(level, 4);
}

std::string display_language(const LanguageTest& test) {
  return test.language.empty() ? test.task : test.language;
}

TestNames::TestNames(const Comparison& comparison) {
  std::set<std::pair<std::string, Scale>> seen;
  for (const LanguageTest& test : comparison.tests) {
    if (!seen.emplace(test.language, test.scale).second) several_.insert(test.language);
  }
}

std::string TestNames::of(const LanguageTest& test) const {
  if (test.language.empty() || !several_.contains(test.language)) return display_language(test);
  return concat(test.language, ", ", test.task);
}

std::string method_note(const Comparison& comparison) {
  const std::string level = confidence_text(comparison.gate.confidence);
  return concat("Intervals: two-sided ", level, ", paired bootstrap over documents (",
                human_count(static_cast<uint64_t>(comparison.gate.resamples)),
                " resamples). The gate looks at the one-sided ", level,
                " bound; p, Holm-adjusted over the tests, is for being worse than the margin.");
}

Verdict verdict_of(const Comparison& comparison) {
  const TestNames names(comparison);
  Verdict out;
  switch (comparison.outcome) {
    case Outcome::kPass:
      out = {"Gate passed", "No old language measured got worse than the margin allows."};
      break;
    case Outcome::kFail:
      out = {"Gate failed", failures_text(comparison)};
      break;
    case Outcome::kInsufficient:
      out = {"Not enough evidence", "More documents are needed."};
      break;
    case Outcome::kNotComparable:
      out = {"Not comparable", "The two results do not measure the same."};
      break;
  }
  if (const LanguageTest* worst = comparison.worst()) {
    out.detail += concat(" Worst old language: ", names.of(*worst), " ", change_text(*worst), " ",
                         change_interval_text(*worst), ".");
  }
  out.detail += gains_text(comparison, names);
  if (!comparison.note.empty()) out.detail += concat(" ", comparison.note);
  return out;
}

std::string comparison_verdict(const Comparison& comparison) {
  const Verdict verdict = verdict_of(comparison);
  return concat(verdict.headline, ". ", verdict.detail);
}

std::string comparison_table(const Comparison& comparison) {
  const bool noise = has_noise(comparison);
  const TestNames names(comparison);
  std::string out = text_table(header(noise), rows(comparison, names, noise), kFirstNumber);
  out += concat("\n", harmless(comparison_verdict(comparison)), "\n");
  for (const auto& lines : {reasons(comparison, names), answers_changed(comparison)}) {
    for (const std::string& line : lines) out += concat("  ", harmless(line), "\n");
  }
  out += method_note(comparison) + "\n";
  if (comparison.causes.empty()) return out;
  return concat(out, "\n", causes_text(comparison.causes));
}

std::string comparison_markdown(const Comparison& comparison, size_t max_bytes, bool stands_alone) {
  Comparison shown = comparison;
  std::stable_sort(shown.tests.begin(), shown.tests.end(), [](const auto& a, const auto& b) {
    return a.outcome != Outcome::kPass && b.outcome == Outcome::kPass;
  });
  std::string text = markdown_of(comparison, comparison, stands_alone);
  while (text.size() > max_bytes && !shown.tests.empty()) {
    const size_t fewer = shown.tests.size() * std::min(max_bytes, text.size()) / text.size();
    shown.tests.resize(std::min(fewer, shown.tests.size() - 1));
    text = markdown_of(comparison, shown, stands_alone);
  }
  return text;
}

}  // namespace polygraft::eval
