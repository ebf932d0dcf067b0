// tests/eval/report_fixture.h: a report as a pipeline run makes it, with fixed numbers.
#pragma once
#include <array>
#include <cmath>

#include "eval/report.h"
#include "tests/eval/comparison_fixture.h"

namespace polygraft::eval {

inline Curve falling_curve(const std::string& name, double from, double to) {
  Curve curve{name, {}};
  for (int step = 0; step <= 24; ++step) {
    const double share = step / 24.0;
    curve.points.emplace_back(25000.0 * step, to + (from - to) * std::exp(-4 * share));
  }
  return curve;
}

inline Report sample_report() {
  Report report;
  report.title = "Indonesian on models/base";
  report.comparison = compare_bpb({{"en", {0.0006, 0.003}},
                                   {"de", {0.0004, 0.003}},
                                   {"es", {0.0006, 0.004}},
                                   {"it", {0.0002, 0.002}},
                                   {"id", {-0.28, 0.03}}},
                                  {.new_languages = {{"id"}}});
  report.comparison.causes["de"] = {
      .bits_per_byte_base = 1.5,
      .bits_per_byte_expanded = 1.5006,
      .num_documents = 143,
      .num_changed = 2,
      .tokenizer = {0.0001, {-0.00002, 0.0003}},
      .head = {0.0002, {0.00018, 0.00022}},
      .router = {0.0005, {0.0003, 0.0007}},
      .experts = {-0.0002, {-0.0004, 0.0001}},
      .by_position = std::array{0.03, 0.004, 0.0006, 0.0002, -0.0001}};
  report.charts.push_back(
      {"Learning", "tokens", "bits per byte", {falling_curve("id", 2.31, 1.68)}});
  report.charts.push_back({"Interference",
                           "tokens",
                           "relative change, %",
                           {falling_curve("en", 0.8, 0.06), falling_curve("de", 0.5, 0.04),
                            falling_curve("es", 1.1, 0.09), falling_curve("it", 0.3, 0.02)}});
  report.heat_maps.push_back({"Language similarity (centred correlation of routing)",
                              {"en", "de", "es", "it", "id"},
                              {"en", "de", "es", "it", "id"},
                              {{1, 0.31, 0.12, 0.08, -0.22},
                               {0.31, 1, -0.05, -0.11, -0.34},
                               {0.12, -0.05, 1, 0.62, -0.18},
                               {0.08, -0.11, 0.62, 1, -0.21},
                               {-0.22, -0.34, -0.18, -0.21, 1}},
                              /*with_tree=*/true});
  report.routing = {"Experts by language",
                    {"en", "de", "es", "it", "id"},
                    {{"0",
                      {{0.5, 0.25, 0.25, 0},
                       {0.4, 0.3, 0.2, 0.1},
                       {0.1, 0.2, 0.3, 0.4},
                       {0, 0.5, 0, 0.5},
                       {0.25, 0.25, 0.25, 0.25}}}}};
  report.tables.push_back(
      {"Tokenizer",
       {"language", "bytes per token before", "after", "changed documents"},
       {{"en", "3.41", "3.41", "0 of 412"}, {"id", "2.17", "3.36", "398 of 398"}}});
  report.tables.push_back(
      {"Provenance", {"what", "value"}, {{"base", "models/base"}, {"seed", "17"}}});
  report.resolved_config = "version: 1\nseed: 17\ngate:\n  margin_relative_bpb: 0.002\n";
  return report;
}

}  // namespace polygraft::eval
