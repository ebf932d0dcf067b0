// eval/report_markdown.cpp: the report for a pull request or a model card.
#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "eval/chart_data.h"
#include "eval/number_text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

constexpr size_t kMaxCommentBytes = 65536;  // GitHub counts characters, which are no more
constexpr size_t kLeftOutBytes = 512;       // kept for the title and for what is left out

using Rows = std::vector<std::vector<std::string>>;

std::string title_markdown(const std::string& title) {
  std::string text = "# " + markdown_text(title);
  size_t end = std::min(text.size(), kLeftOutBytes);
  while (end < text.size() && is_continuation_byte(text[end])) --end;
  return text.substr(0, end) + "\n\n";
}

std::string heading(const std::string& title) { return "\n## " + markdown_text(title) + "\n\n"; }

std::string note_markdown(const std::string& note) {
  return note.empty() ? "" : markdown_text(note) + "\n\n";
}

std::string chart_markdown(const Chart& chart) {
  Rows rows;
  for (const Curve& curve : chart.curves) {
    const CurveSummary summary = summarise(curve);
    rows.push_back({curve.name, concat(summary.num_points), compact_number(summary.first),
                    compact_number(summary.lowest), compact_number(summary.highest),
                    compact_number(summary.last)});
  }
  const std::string axes = markdown_text(concat(chart.y_label, " against ", chart.x_label));
  return heading(chart.title) + axes + "\n\n" + note_markdown(chart.note) +
         markdown_table({"curve", "points", "first", "lowest", "highest", "last"}, rows, 1);
}

std::string heat_map_markdown(const HeatMap& map) {
  std::vector<std::string> header = {""};
  header.insert(header.end(), map.columns.begin(), map.columns.end());
  Rows rows;
  for (size_t r = 0; r < std::min(map.rows.size(), map.values.size()); ++r) {
    rows.push_back({map.rows[r]});
    for (const double value : map.values[r])
      rows.back().push_back(std::isfinite(value) ? fixed(value, 2) : "n/a");
  }
  return heading(map.title) + markdown_table(header, rows, 1);
}

/// A fence that the text cannot close: one backtick more than its longest run.
std::string fenced(const std::string& text) {
  size_t run = 0, longest = 2;
  for (const char c : text) {
    run = c == '`' ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  const std::string fence(longest + 1, '`');
  const bool ends_line = !text.empty() && text.back() == '\n';
  return concat(fence, "yaml\n", text, ends_line ? "" : "\n", fence, "\n");
}

}  // namespace

std::string report_markdown(const Report& report, bool stands_alone) {
  std::vector<std::pair<std::string, std::string>> sections;  // title, text
  for (const Chart& chart : report.charts)
    sections.emplace_back(chart.title, chart_markdown(chart));
  for (const HeatMap& map : report.heat_maps)
    sections.emplace_back(map.title, heat_map_markdown(map));
  for (const Table& table : all_tables(report)) {
    sections.emplace_back(table.title, heading(table.title) + note_markdown(table.note) +
                                           markdown_table(table.header, table.rows, 1));
  }
  if (!report.resolved_config.empty()) {
    const char* title = "Resolved configuration";
    sections.emplace_back(title, heading(title) + fenced(harmless(report.resolved_config, true)));
  }
  std::string out = title_markdown(report.title);
  out += comparison_markdown(report.comparison, kMaxCommentBytes - 2 * kLeftOutBytes, stands_alone);
  size_t left_out = 0;
  for (const auto& [title, text] : sections) {
    const bool fits = out.size() + text.size() + kLeftOutBytes <= kMaxCommentBytes;
    out += fits ? text : "";
    left_out += fits ? 0 : 1;
  }
  if (left_out > 0) {
    out += concat("\n", left_out, left_out == 1 ? " section is" : " sections are",
                  " left out: a comment on GitHub holds 65,536 characters. ",
                  stands_alone ? "--html FILE has all." : "report.html has all.", "\n");
  }
  return out;
}

}  // namespace polygraft::eval
