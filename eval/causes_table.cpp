// eval/causes_table.cpp: see report.h.
#include "core/text.h"
#include "eval/number_text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

/// "+0.031 [+0.020, +0.045]": the header names the unit.
std::string without_unit(std::string text) {
  const std::string unit = " %";
  return text.ends_with(unit) ? text.substr(0, text.size() - unit.size()) : text;
}

std::string percent_text(double fraction) { return without_unit(signed_percent(fraction)); }

std::string cause_text(const CausedChange& change, double base) {
  const Interval relative = {change.interval.low / base, change.interval.high / base};
  return concat(percent_text(change.delta / base), " ", without_unit(signed_percent(relative)));
}

Table by_cause(const std::map<std::string, Causes>& causes) {
  Table table{.title =
                  "What changes old text against the candidate's own base, by cause (% of its bits "
                  "per byte)",
              .header = {"language", "change"},
              .rows = {},
              .note = kCausesNote};
  for (const CauseField& cause : kCauses) table.header.emplace_back(cause.name);
  table.header.emplace_back("recut");
  for (const auto& [language, measured] : causes) {
    const double base = measured.bits_per_byte_base;
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {language, percent_text(measured.bits_per_byte_expanded / base - 1)};
    for (const CauseField& cause : kCauses) row.push_back(cause_text(measured.*cause.change, base));
    row.push_back(concat(measured.num_changed, " of ", measured.num_documents));
  }
  return table;
}

Table by_position(const std::map<std::string, Causes>& causes) {
  Table table{.title = "The same by place in the document (% of the base's bits there)",
              .header = {"language"},
              .rows = {}};
  for (const char* band : kPositionBands) table.header.push_back(concat("tokens ", band));
  for (const auto& [language, measured] : causes) {
    if (!measured.by_position) continue;
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {language};
    for (const double change : *measured.by_position) row.push_back(percent_text(change));
  }
  return table;
}

}  // namespace

std::vector<Table> causes_tables(const std::map<std::string, Causes>& causes) {
  std::vector<Table> tables;
  for (Table& table : std::vector<Table>{by_cause(causes), by_position(causes)})
    if (!table.rows.empty()) tables.push_back(std::move(table));
  return tables;
}

std::string causes_text(const std::map<std::string, Causes>& causes) {
  std::vector<std::string> texts;
  for (const Table& table : causes_tables(causes))
    texts.push_back(concat(table.title, "\n", text_table(table.header, table.rows, 1)));
  return join(texts, "\n");
}

}  // namespace polygraft::eval
