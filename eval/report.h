// eval/report.h: one report model, written as HTML (one self-contained page), Markdown, JSON and JUnit XML.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "eval/compare.h"

namespace polygraft::eval {

struct Curve {
  std::string name;                              ///< "id", "loss", "de"
  std::vector<std::pair<double, double>> points;  ///< (tokens, value)
};
struct Chart {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
};
struct Table {
  std::string title;
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
struct HeatMap {
  std::string title;
  std::vector<std::string> rows, columns;
  std::vector<std::vector<double>> values;
};

/// What a report shows, in this order.
struct Report {
  std::string title;
  Comparison comparison;       ///< verdict and the forest plot of old-language changes
  std::vector<Chart> charts;   ///< interference and learning over training
  std::vector<HeatMap> heat_maps;
  std::vector<Table> tables;   ///< tokenizer, plan, step-0 causes, provenance
  std::string resolved_config;  ///< YAML
};

/// report.html, report.md, report.json and junit.xml into `folder`, each atomically.
void write_report(const Report& report, const std::filesystem::path& folder);

}  // namespace polygraft::eval
