// eval/report_parts.cpp: curves, trees, heat maps and tables of the page. Drawings carry their data
// in attributes; report.js draws them, and a table beside each has the numbers.
#include "eval/report_parts.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "eval/chart_data.h"
#include "eval/dendrogram.h"
#include "eval/page_template.h"

namespace polygraft::eval {
namespace {

using ctemplate::TemplateDictionary;

constexpr size_t kMostPointsDrawn = 500;  // per curve; more cannot be seen on a screen
constexpr double kStrongestHeat = 0.65;   // opacity: text stays readable on it, in both themes

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string chart_data(const Chart& chart) {
  Json data = {{"x_label", chart.x_label}, {"y_label", chart.y_label}, {"curves", Json::array()}};
  for (const Curve& curve : chart.curves) {
    data["curves"].push_back({{"name", curve.name},
                              {"is_limit", curve.is_limit},
                              {"points", thinned(curve, kMostPointsDrawn)}});
  }
  return json_text(data);
}

void fill_note(TemplateDictionary& section, const std::string& note) {
  if (!note.empty()) set(*section.AddSectionDictionary("NOTE"), "TEXT", note);
}

void fill_chart(TemplateDictionary& section, const Chart& chart) {
  set(section, "NAME", chart.title);
  set(section, "ARIA",
      concat("Line chart: ", chart.y_label, " against ", chart.x_label, ", ", chart.curves.size(),
             " curves; the table below has the numbers."));
  set(section, "DATA", chart_data(chart));
  fill_note(section, chart.note);
  for (const Curve& curve : chart.curves) {
    const CurveSummary summary = summarise(curve);
    TemplateDictionary* row = section.AddSectionDictionary("CURVE");
    set(*row, "NAME", curve.name);
    set(*row, "POINTS", human_count(summary.num_points));
    set(*row, "FIRST", compact_number(summary.first));
    set(*row, "LOWEST", compact_number(summary.lowest));
    set(*row, "HIGHEST", compact_number(summary.highest));
    set(*row, "LAST", compact_number(summary.last));
  }
}

double strongest(const HeatMap& map) {
  double most = 0;
  for (const auto& row : map.values) {
    for (const double value : row)
      most = std::isfinite(value) ? std::max(most, std::abs(value)) : most;
  }
  return most;
}

void fill_heat_map(TemplateDictionary& section, const HeatMap& map) {
  const double most = strongest(map);
  set(section, "NAME", map.title);
  for (const std::string& column : map.columns)
    set(*section.AddSectionDictionary("COLUMN"), "NAME", column);
  for (size_t r = 0; r < std::min(map.rows.size(), map.values.size()); ++r) {
    TemplateDictionary* row = section.AddSectionDictionary("HEAT_ROW");
    set(*row, "NAME", map.rows[r]);
    for (const double value : map.values[r]) {
      const bool shown = std::isfinite(value);
      TemplateDictionary* cell = row->AddSectionDictionary("CELL");
      set(*cell, "VALUE", shown ? fixed(value, 2) : "n/a");
      set(*cell, "SIGN", shown && value < 0 ? "below" : "above");
      set(*cell, "HEAT", fixed(shown && most > 0 ? kStrongestHeat * std::abs(value) / most : 0, 3));
    }
  }
}

void fill_table(TemplateDictionary& section, const Table& table) {
  const std::vector<bool> numeric = numeric_columns(table);
  set(section, "NAME", table.title);
  fill_note(section, table.note);
  for (size_t c = 0; c < table.header.size(); ++c) {
    TemplateDictionary* column = section.AddSectionDictionary("COLUMN");
    set(*column, "NAME", table.header[c]);
    set(*column, "KIND", numeric[c] ? "num" : "");
  }
  for (const auto& cells : table.rows) {
    TemplateDictionary* row = section.AddSectionDictionary("TABLE_ROW");
    for (size_t c = 0; c < cells.size(); ++c) {
      TemplateDictionary* cell = row->AddSectionDictionary("CELL");
      set(*cell, "VALUE", cells[c]);
      set(*cell, "KIND", c < numeric.size() && numeric[c] ? "num" : "");
    }
  }
}

/// Where the tree's lines run, in percent of its width and in leaves of its height.
struct TreeLayout {
  std::vector<double> x, y;  ///< by node
  double largest = 0;        ///< distance (1 - similarity) at the right edge
};

TreeLayout lay_out(const std::vector<Join>& joins, const std::vector<size_t>& order) {
  TreeLayout out{std::vector<double>(order.size(), 0), std::vector<double>(order.size()), 0};
  for (size_t row = 0; row < order.size(); ++row)
    out.y[order[row]] = 0.5 + static_cast<double>(row);
  for (const Join& join : joins) out.largest = std::max(out.largest, 1 - join.similarity);
  for (const Join& join : joins) {
    const double distance = std::max(1 - join.similarity, 0.0);
    out.x.push_back(out.largest > 0 ? 100 * distance / out.largest : 0);
    out.y.push_back((out.y[join.left] + out.y[join.right]) / 2);
  }
  return out;
}

void fill_tree(TemplateDictionary& section, const HeatMap& map) {
  const std::vector<Join> joins = average_linkage(map.values);
  const std::vector<size_t> order = leaf_order(joins, map.rows.size());
  const TreeLayout layout = lay_out(joins, order);
  set(section, "ARIA", concat("Tree of similarity: ", tree_text(joins, map.rows)));
  set(section, "NUM_LEAVES", concat(order.size()));
  for (const size_t leaf : order)
    set(*section.AddSectionDictionary("LEAF"), "NAME", map.rows[leaf]);
  for (size_t j = 0; j < joins.size(); ++j) {
    TemplateDictionary* line = section.AddSectionDictionary("JOIN");
    const auto at = [&](const std::vector<double>& where, size_t node) {
      return fixed(where[node], 2);
    };
    set(*line, "X1", at(layout.x, joins[j].left));
    set(*line, "Y1", at(layout.y, joins[j].left));
    set(*line, "X", at(layout.x, order.size() + j));
    set(*line, "Y2", at(layout.y, joins[j].right));
    set(*line, "X2", at(layout.x, joins[j].right));
  }
  constexpr int kNumTicks = 5;
  for (int tick = 0; tick < kNumTicks; ++tick) {
    const double share = static_cast<double>(tick) / (kNumTicks - 1);
    TemplateDictionary* mark = section.AddSectionDictionary("TREE_TICK");
    set(*mark, "AT", fixed(100 * share, 2));
    set(*mark, "TEXT", fixed(1 - share * layout.largest, 2));
  }
}

double largest_share(const RoutingMap::Layer& layer) {
  double most = 0;
  for (const auto& row : layer.share_LE)
    for (const double share : row) most = std::isfinite(share) ? std::max(most, share) : most;
  return most;
}

void fill_routing(TemplateDictionary& section, const RoutingMap& map) {
  Json data = {{"languages", map.languages}, {"layers", Json::array()}};
  for (const RoutingMap::Layer& layer : map.layers) {
    Json rows = Json::array();
    for (const auto& row : layer.share_LE) rows.push_back(heat_digits(row, largest_share(layer)));
    data["layers"].push_back({{"name", layer.name}, {"rows", rows}});
  }
  set(section, "NAME", map.title);
  set(section, "ARIA",
      concat("Heat map of ", map.layers.size(), " layers, ", map.languages.size(),
             " languages each; the table below has each one's leading experts."));
  set(section, "DATA", json_text(data));
}

bool has_tree(const HeatMap& map) {
  const size_t size = map.rows.size();
  bool fits = map.with_tree && size > 1 && map.values.size() == size;
  for (const auto& row : map.values) {
    fits = fits && row.size() == size &&
           std::all_of(row.begin(), row.end(), [](double value) { return std::isfinite(value); });
  }
  return fits;
}

}  // namespace

void fill_parts(TemplateDictionary& page, const Report& report) {
  const auto part = [&](const char* kind) {
    return page.AddSectionDictionary("PART")->AddSectionDictionary(kind);
  };
  const std::vector<Table> tables = all_tables(report);
  const size_t num_causes = causes_tables(report.comparison.causes).size();
  for (size_t t = 0; t < num_causes; ++t) fill_table(*part("TABLE"), tables[t]);
  if (!report.charts.empty()) {
    TemplateDictionary* charts = part("CHARTS");
    for (const Chart& chart : report.charts)
      fill_chart(*charts->AddSectionDictionary("CHART"), chart);
  }
  for (const HeatMap& map : report.heat_maps) {
    TemplateDictionary* section = part("HEAT_MAP");
    fill_heat_map(*section, map);
    if (has_tree(map)) fill_tree(*section->AddSectionDictionary("TREE"), map);
  }
  if (!report.routing.layers.empty()) {
    TemplateDictionary* section = part("ROUTING");
    fill_routing(*section, report.routing);
    fill_table(*section->AddSectionDictionary("ROUTING_TABLE"), routing_table(report.routing));
  }
  for (size_t t = num_causes; t < tables.size(); ++t) fill_table(*part("TABLE"), tables[t]);
}

}  // namespace polygraft::eval
