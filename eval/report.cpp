// eval/report.cpp: the four files of a report. All texts are made before the first file is touched.
#include "eval/report.h"

#include "core/error.h"
#include "core/file.h"
#include "eval/sources.h"

namespace polygraft::eval {

std::vector<Table> all_tables(const Report& report) {
  std::vector<Table> tables = causes_tables(report.comparison.causes);
  tables.insert(tables.end(), report.tables.begin(), report.tables.end());
  Table sources = sources_table(report.comparison);
  if (!sources.rows.empty()) tables.push_back(std::move(sources));
  return tables;
}

void write_report(const Report& report, const fs::path& folder) {
  const std::string html = report_html(report, /*stands_alone=*/false);
  const std::string markdown = report_markdown(report, /*stands_alone=*/false);
  const std::string junit = report_junit(report.title, report.comparison);
  const Json json = report_json(report);
  create_folders(folder);
  write_json(folder / kJsonFile, json);
  write_file_atomically(folder / kMarkdownFile, markdown);
  write_file_atomically(folder / kJunitFile, junit);
  write_file_atomically(folder / kHtmlFile, html);
}

}  // namespace polygraft::eval
