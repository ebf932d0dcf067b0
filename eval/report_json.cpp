// eval/report_json.cpp: the report for machines: every point of every curve. Numbers that are not
// finite are null.
#include "eval/number_text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

Json chart_json(const Chart& chart) {
  Json out = {{"title", chart.title},
              {"x_label", chart.x_label},
              {"y_label", chart.y_label},
              {"note", chart.note}};
  out["curves"] = Json::array();
  for (const Curve& curve : chart.curves) {
    Json points = Json::array();
    for (const auto& [x, y] : curve.points)
      points.push_back(Json::array({json_number(x), json_number(y)}));
    out["curves"].push_back(
        {{"name", curve.name}, {"is_limit", curve.is_limit}, {"points", std::move(points)}});
  }
  return out;
}

Json heat_map_json(const HeatMap& map) {
  Json out = {{"title", map.title}, {"rows", map.rows}, {"columns", map.columns}};
  out["values"] = Json::array();
  for (const auto& row : map.values) {
    Json values = Json::array();
    for (const double value : row) values.push_back(json_number(value));
    out["values"].push_back(std::move(values));
  }
  return out;
}

Json routing_json(const RoutingMap& map) {
  Json out = {{"title", map.title}, {"languages", map.languages}, {"layers", Json::array()}};
  for (const RoutingMap::Layer& layer : map.layers) {
    Json rows = Json::array();
    for (const auto& row : layer.share_LE) {
      Json shares = Json::array();
      for (const double share : row) shares.push_back(json_number(share));
      rows.push_back(std::move(shares));
    }
    out["layers"].push_back({{"name", layer.name}, {"shares", std::move(rows)}});
  }
  return out;
}

}  // namespace

Json report_json(const Report& report) {
  Json out = {{"title", report.title}, {"resolved_config", report.resolved_config}};
  out["comparison"] = report.comparison.to_json();
  for (const char* list : {"charts", "heat_maps", "tables"}) out[list] = Json::array();
  for (const Chart& chart : report.charts) out["charts"].push_back(chart_json(chart));
  for (const HeatMap& map : report.heat_maps) out["heat_maps"].push_back(heat_map_json(map));
  out["routing"] = routing_json(report.routing);
  for (const Table& table : report.tables) {
    out["tables"].push_back(
        {{"title", table.title}, {"header", table.header}, {"rows", table.rows}});
  }
  // A name that is no UTF-8 cannot be JSON: its bytes become U+FFFD here, as in the other three
  // forms.
  return Json::parse(out.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace polygraft::eval
