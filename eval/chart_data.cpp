// eval/chart_data.cpp: see chart_data.h.
#include "eval/chart_data.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/text.h"

namespace polygraft::eval {
namespace {

using Points = std::vector<std::pair<double, double>>;

Points finite_points(const Curve& curve) {
  Points out;
  for (const auto& point : curve.points) {
    if (std::isfinite(point.first) && std::isfinite(point.second)) out.push_back(point);
  }
  return out;
}

bool lower(const std::pair<double, double>& a, const std::pair<double, double>& b) {
  return a.second < b.second;
}

bool looks_numeric(const std::string& cell) {
  return cell.find_first_of("0123456789") != std::string::npos &&
         std::string_view("+-.0123456789").find(cell.front()) != std::string_view::npos;
}

}  // namespace

CurveSummary summarise(const Curve& curve) {
  const Points points = finite_points(curve);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  if (points.empty()) return {0, nan, nan, nan, nan};
  const auto [low, high] = std::minmax_element(points.begin(), points.end(), lower);
  return {points.size(), points.front().second, low->second, high->second, points.back().second};
}

Points thinned(const Curve& curve, size_t limit) {
  Points points = finite_points(curve);
  if (points.size() <= limit) return points;
  Points out = {points.front()};
  const size_t num_stretches = std::max<size_t>(limit / 2, 1);
  for (size_t s = 0; s < num_stretches; ++s) {
    const auto begin = points.begin() + static_cast<int64_t>(s * points.size() / num_stretches);
    const auto end = points.begin() + static_cast<int64_t>((s + 1) * points.size() / num_stretches);
    const auto [low, high] = std::minmax_element(begin, end, lower);
    out.push_back(*std::min(low, high));
    if (low != high) out.push_back(*std::max(low, high));
  }
  out.push_back(points.back());
  return out;
}

std::string compact_number(double value) {
  if (!std::isfinite(value)) return "n/a";
  if (value == 0) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (magnitude < -6 || magnitude > 15) return concat(value);
  const int digits = magnitude < 0 ? 2 - magnitude : 4 - magnitude;
  return fixed(value, std::clamp(digits, 0, 9));
}

std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> numeric(table.header.size(), false);
  for (size_t c = 0; c < numeric.size(); ++c) {
    for (const auto& row : table.rows) {
      if (c >= row.size() || row[c].empty() || row[c] == "-") continue;
      numeric[c] = looks_numeric(row[c]);
      if (!numeric[c]) break;
    }
  }
  return numeric;
}

}  // namespace polygraft::eval
