// eval/chart_data.h: a curve as a page shows it: few enough points to draw, and its extremes in
// words.
#pragma once
#include <string>
#include <vector>

#include "eval/report.h"

namespace polygraft::eval {

struct CurveSummary {
  size_t num_points = 0;
  double first = 0, lowest = 0, highest = 0, last = 0;
};
/// Over the finite values; NaN everywhere when there is none.
CurveSummary summarise(const Curve& curve);

/// At most about `limit` points: of every stretch the lowest and the highest, so that no spike
/// vanishes. Values that are not finite are left out.
std::vector<std::pair<double, double>> thinned(const Curve& curve, size_t limit);

/// Five significant digits, three below one: "1.3705", "0.00121", "600000".
std::string compact_number(double value);

/// Columns that hold numbers only (empty cells and dashes aside).
std::vector<bool> numeric_columns(const Table& table);

}  // namespace polygraft::eval
