// eval/report.h: one report model, written as HTML (one self-contained page), Markdown, JSON and
// JUnit XML. The page needs no network and, but for the drawn curves, no scripts: Chart.js and the
// templates are inside the binary.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json_fwd.h"
#include "eval/compare.h"
#include "eval/routing_map.h"

namespace polygraft::eval {

struct Curve {
  std::string name;                               ///< "id", "loss", "de"
  std::vector<std::pair<double, double>> points;  ///< (tokens, value)
  bool is_limit = false;                          ///< drawn as a dashed line without points
};
struct Chart {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
  std::string note = {};  ///< what a reader must know; shown with the drawing
};
struct Table {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
  std::string note = {};  ///< what its words mean; shown above it
};
struct HeatMap {
  std::string title;
  std::vector<std::string> rows, columns;
  std::vector<std::vector<double>> values;
  bool with_tree = false;  ///< values are similarities of the same names both ways: draw their tree
};

/// What a report shows, in this order.
struct Report {
  std::string title;
  Comparison comparison;      ///< verdict and the forest plot of old-language changes
  std::vector<Chart> charts;  ///< interference and learning over training
  std::vector<HeatMap> heat_maps;
  RoutingMap routing;           ///< without layers: not shown
  std::vector<Table> tables;    ///< tokenizer, plan, provenance
  std::string resolved_config;  ///< YAML
};

/// What the causes' names mean, for a reader of their tables and curves.
inline constexpr const char* kCausesNote =
    "Causes add up to the change. Tokenizer: documents that new tokens cut into other pieces "
    "(recut: how many). In all others: router, that old text is sent to new experts, still silent; "
    "experts, what these say; head, the probability that new tokens take from the old ones.";

/// Two tables with a row for each language: the change on its text in percent of the base's bits
/// per byte and each cause's share of it with its interval; and the change at the first tokens of
/// its documents, and beyond. None without causes.
std::vector<Table> causes_tables(const std::map<std::string, Causes>& causes);
/// The same for a terminal.
std::string causes_text(const std::map<std::string, Causes>& causes);

/// Every layer's and language's leading experts.
Table routing_table(const RoutingMap& map);

/// The causes' tables, where there are any, before the report's own; at the end what was compared.
std::vector<Table> all_tables(const Report& report);

inline constexpr const char* kHtmlFile = "report.html";
inline constexpr const char* kMarkdownFile = "report.md";
inline constexpr const char* kJsonFile = "report.json";
inline constexpr const char* kJunitFile = "junit.xml";
/// All that write_report() leaves.
inline constexpr const char* kReportFiles[] = {kHtmlFile, kMarkdownFile, kJsonFile, kJunitFile};

/// kReportFiles into `folder` (made if missing), each atomically.
void write_report(const Report& report, const std::filesystem::path& folder);

/// The four files' contents. Names and texts may come from anywhere: each form shows them as text
/// and nothing else.
/// @param stands_alone none of the other files lie beside it
std::string report_html(const Report& report, bool stands_alone = true);
std::string report_markdown(const Report& report, bool stands_alone = true);
Json report_json(const Report& report);
/// One suite per language, one case per test; "insufficient" and "not_comparable" are errors, so
/// that no CI takes them for a pass.
std::string report_junit(const std::string& title, const Comparison& comparison);

}  // namespace polygraft::eval
