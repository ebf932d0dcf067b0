// eval/report_markdown.cpp: the report for a pull request or a model card.
#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "eval/chart_data.h"
#include "eval/number_text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string heading(const std::string& title) { return "\n## " + markdown_text(title) + "\n\n"; }

std::string chart_markdown(const Chart& chart) {
  Rows rows;
  for (const Curve& curve : chart.curves) {
    const CurveSummary summary = summarise(curve);
    rows.push_back({curve.name, concat(summary.num_points), compact_number(summary.first),
                    compact_number(summary.lowest), compact_number(summary.highest),
                    compact_number(summary.last)});
  }
  const std::string axes = markdown_text(concat(chart.y_label, " against ", chart.x_label));
  return heading(chart.title) + axes + "\n\n" +
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

std::string report_markdown(const Report& report) {
  std::string out =
      "# " + markdown_text(report.title) + "\n\n" + comparison_markdown(report.comparison);
  for (const Chart& chart : report.charts) out += chart_markdown(chart);
  for (const HeatMap& map : report.heat_maps) out += heat_map_markdown(map);
  for (const Table& table : report.tables) {
    out += heading(table.title) + markdown_table(table.header, table.rows, 1);
  }
  if (!report.resolved_config.empty()) {
    out += heading("Resolved configuration") + fenced(printable(report.resolved_config, true));
  }
  return out;
}

}  // namespace polygraft::eval
