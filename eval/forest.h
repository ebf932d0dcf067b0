// eval/forest.h: where a forest plot's marks stand, in per cent of the drawing's width.
#pragma once
#include <string>
#include <vector>

#include "eval/compare.h"

namespace polygraft::eval {

/// Tests that share one axis: old or new languages, changes on one scale.
struct ForestGroup {
  bool is_new = false;
  Scale scale = Scale::kRelative;
  std::vector<const LanguageTest*> tests;
};
/// In reading order, empty groups left out. Points into `comparison`.
std::vector<ForestGroup> forest_groups(const Comparison& comparison);

struct ForestAxis {
  double low = 0, high = 1;   ///< changes at the drawing's edges; zero and every margin lie inside
  std::vector<double> ticks;  ///< round changes, ascending
  double step = 1;            ///< between ticks
  double percent(double change) const { return 100 * (change - low) / (high - low); }
};
ForestAxis forest_axis(const ForestGroup& group);
/// "+0.2 %", "-1 pp" or "-1", with as many digits as the step needs.
std::string tick_text(const ForestAxis& axis, double change, Scale scale);

}  // namespace polygraft::eval
