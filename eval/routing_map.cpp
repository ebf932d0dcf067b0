// eval/routing_map.cpp: see routing_map.h.
#include "eval/routing_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/text.h"
#include "eval/report.h"

namespace polygraft::eval {
namespace {

/// Experts by falling share, equal ones by number.
std::vector<size_t> by_share(const std::vector<double>& share_E) {
  std::vector<size_t> order(share_E.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return share_E[a] > share_E[b]; });
  return order;
}

}  // namespace

std::string leading_experts(const std::vector<double>& share_E) {
  constexpr size_t kNumShown = 3;
  std::vector<std::string> shown;
  for (const size_t expert : by_share(share_E)) {
    if (shown.size() == kNumShown) break;
    shown.push_back(concat("e", expert, " ", fixed(100 * share_E[expert], 1), " %"));
  }
  return join(shown, ", ");
}

size_t experts_for_half(const std::vector<double>& share_E) {
  const double half = std::accumulate(share_E.begin(), share_E.end(), 0.0) / 2;
  double taken = 0;
  size_t number = 0;
  for (const size_t expert : by_share(share_E)) {
    if (taken >= half) break;
    taken += share_E[expert];
    ++number;
  }
  return number;
}

std::string heat_digits(const std::vector<double>& share_E, double largest) {
  constexpr const char* kDigits = "0123456789abcdef";
  std::string out;
  for (const double share : share_E) {
    const bool shown = std::isfinite(share) && share > 0 && largest > 0;
    const double heat = shown ? std::sqrt(std::min(share / largest, 1.0)) : 0;
    const auto level = static_cast<unsigned>(std::lround(255 * heat));
    out += kDigits[level >> 4];
    out += kDigits[level & 15];
  }
  return out;
}

Table routing_table(const RoutingMap& map) {
  Table table{.title = map.title,
              .header = {"layer", "language", "leading experts", "experts for half of the tokens"},
              .rows = {}};
  for (const RoutingMap::Layer& layer : map.layers) {
    for (size_t l = 0; l < std::min(map.languages.size(), layer.share_LE.size()); ++l) {
      table.rows.push_back(
          {layer.name, map.languages[l], leading_experts(layer.share_LE[l]),
           concat(experts_for_half(layer.share_LE[l]), " of ", layer.share_LE[l].size())});
    }
  }
  return table;
}

}  // namespace polygraft::eval
