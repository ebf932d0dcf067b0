// trainer/blend_search.h: how far along the line from weights inside the budget to weights outside
// one may go. The bound is continuous there and often only just crosses the limit at the far end,
// which halving the line would not see: so the chord's crossing is tried (false position, which a
// convex bound keeps inside), and after the first try that was outside the middle.
#pragma once
#include <algorithm>

namespace polygraft::trainer {

class BlendSearch {
 public:
  /// @param inside, outside the bound less its limit at the shares 0 (<= 0) and 1 (> 0).
  BlendSearch(double inside, double outside) : inside_{0, inside}, outside_{1, outside} {}

  /// The share to try next: beyond the largest one that is inside, short of the others.
  double share() const {
    constexpr double kLeast = 0.25;  // where the chord would hardly get on
    const double chord = -inside_.excess / (outside_.excess - inside_.excess);
    const double way = halves_ ? 0.5 : std::max(kLeast, chord);
    return inside_.share + way * (outside_.share - inside_.share);
  }

  /// @param excess the bound less its limit at share().
  void tell(double excess) {
    const Try tried{share(), excess};
    const bool is_outside = excess > 0;
    (is_outside ? outside_ : inside_) = tried;
    halves_ |= is_outside;
  }

 private:
  struct Try {
    double share, excess;
  };
  Try inside_, outside_;
  bool halves_ = false;
};

}  // namespace polygraft::trainer
