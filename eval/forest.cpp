// eval/forest.cpp: see forest.h. Ticks are 1, 2 or 5 times a power of ten apart.
#include "eval/forest.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"

namespace polygraft::eval {
namespace {

constexpr double kMostTicks = 5;

double round_step(double range) {
  const double least = range / kMostTicks;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::vector<ForestGroup> forest_groups(const Comparison& comparison) {
  std::vector<ForestGroup> groups;
  for (const bool is_new : {false, true}) {
    for (const Scale scale : {Scale::kRelative, Scale::kPoints, Scale::kOwn}) {
      ForestGroup group{is_new, scale, {}};
      for (const LanguageTest& test : comparison.tests) {
        if (test.is_new == is_new && test.scale == scale) group.tests.push_back(&test);
      }
      if (!group.tests.empty()) groups.push_back(std::move(group));
    }
  }
  return groups;
}

ForestAxis forest_axis(const ForestGroup& group) {
  double low = 0, high = 0;
  for (const LanguageTest* test : group.tests) {
    const auto& [low_end, high_end] = test->interval;
    for (const double value : {low_end, high_end, test->change(), test->bound, test->margin}) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (high == low) high = low + 0.001;  // nothing changed at all
  const double rim = 0.06 * (high - low);
  ForestAxis axis{.low = low - rim, .high = high + rim};
  axis.step = round_step(axis.high - axis.low);
  for (double k = std::ceil(axis.low / axis.step); k * axis.step <= axis.high; ++k)
    axis.ticks.push_back(k * axis.step);
  return axis;
}

std::string tick_text(const ForestAxis& axis, double change, Scale scale) {
  const double factor = scale == Scale::kOwn ? 1 : 100;
  const int digits =
      std::max(0, static_cast<int>(-std::floor(std::log10(factor * axis.step) + 1e-9)));
  const std::string number = fixed(factor * std::abs(change), digits);
  const bool is_zero = std::abs(change) < axis.step / 2;
  const char* unit = scale == Scale::kRelative ? " %" : scale == Scale::kPoints ? " pp" : "";
  return concat(is_zero ? "" : change > 0 ? "+" : "-", is_zero ? "0" : number, unit);
}

}  // namespace polygraft::eval
