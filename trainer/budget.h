// trainer/budget.h: interference as a constraint, not as a penalty's weight: what to do after a
// probe, and which weights are the result.
//   learn the new text, subject to U <= b
// U: the highest upper confidence bound of an old language's relative rise in bits per byte,
// b: max_relative_bpb. It is the end of a run that must be inside. Before, steps are larger, and so
// is what they do to old text until protection mends it: at learning rate r, of peak R, on the
// way to the last step's e, the limit is
//   b_r = b (1 + 2 ((r - e)/(R - e))^2)
// and b where the rate does not fall.
// Held to b from the start, multipliers rise for a harm that passes by itself, and the new text
// pays for it to the end (examples/study/README.md). Dual ascent in the logarithm (exponentiated
// gradient; Kivinen & Warmuth 1997) of one multiplier m_c of the protection's weights per cause c,
// a step each probe:
//   log2 m_c += s_c d,  d = 1.5 (U/b_r - 0.75) within [-1, 1]
// within [1/8, 64], [1/8, 1] where they shorten steps (polyak). s_c: what c does to the worst
// language, as a share of what the leading cause does, segmentation included, when d > 0: only what
// does harm is held harder, while slack lets all go. A probe's text is the same each time, so that
// U moves by what training does and not by chance, and may be led close to the limit.
//   routing (causes router and experts)  weights kl and hinge; the length of Polyak's steps
//   head                                 what output rows pay: kl's part (method kl), head (hinge),
//                                        the length of their own steps (polyak)
// Segmentation is settled before training, no multiplier moves it: where it leads, holding the
// others harder would cost the new text and bring the bound no nearer.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "core/json_fwd.h"
#include "trainer/config.h"

namespace polygraft::trainer {

/// By how much the configured weights of protection are multiplied.
struct Multipliers {
  double routing = 1, head = 1;
  Json to_json() const;
  std::string text() const;  ///< "protection x1.20 routing, x0.90 head"
};

/// One probe in a few numbers. The worst old language is the one with the highest upper bound.
struct ProbeSummary {
  int64_t step = 0;
  std::string worst;             ///< its name; "" without old languages
  double worst_delta = 0;        ///< its relative rise in bits per byte, point estimate
  double worst_high = 0;         ///< upper confidence bound of the rise
  double worst_low = 0;          ///< highest lower bound of any old language
  double routing = 0, head = 0;  ///< the worst language's rise by cause; all 0: not known
  double segmentation = 0;       ///< what documents do that the extended tokenizer cuts anew
  double new_bits_per_byte = 0;  ///< mean over learned languages
  double rate_to_fall = 0;  ///< learning rate: share of the way from the last step's to the peak
};

enum class BudgetAction { kNone, kProtect, kRollback, kStop };
std::string_view action_name(BudgetAction action);

inline constexpr double kMostProtection = 64;

class BudgetController {
 public:
  /// @param most the largest multiplier that has an effect; 0: none has, and they stay.
  explicit BudgetController(const BudgetConfig& config, double most = kMostProtection)
      : config_(config), most_(most) {}

  /// Moves the multipliers and decides. Exceeded with confidence, when the lower bound is above the
  /// limit: protect; at the next probe, when that has not made the rise smaller, or at once where
  /// multipliers cannot rise: roll back, and the sequence begins again. Nothing happens before the
  /// first step, whose change is not training's.
  /// @param can_roll_back whether there are weights inside the budget to return to.
  BudgetAction decide(const ProbeSummary& probe, bool can_roll_back);

  /// The highest bound that is right at such a learning rate; max_relative_bpb at the end.
  double limit(const ProbeSummary& probe) const;
  const Multipliers& multipliers() const { return multipliers_; }

  Json to_json() const;
  void restore(const Json& json, const std::filesystem::path& file);

 private:
  bool is_exceeded(const ProbeSummary& probe) const { return probe.worst_low > limit(probe); }
  void move_multipliers(const ProbeSummary& probe);
  bool can_protect() const { return std::min(multipliers_.routing, multipliers_.head) < most_; }
  BudgetAction next_action(const ProbeSummary& probe, bool can_roll_back) const;

  BudgetConfig config_;
  double most_;
  Multipliers multipliers_;
  std::optional<double> protected_delta_;  ///< the rise at the last probe, if it ended in kProtect
};

/// The probe whose weights are written at the end: among those whose upper bound is inside the
/// budget the one with the lowest bits per byte of new text; while there is none, the one with the
/// lowest upper bound, of those after the first step: before it nothing is learned yet.
class BestTracker {
 public:
  explicit BestTracker(double max_relative_bpb) : max_relative_bpb_(max_relative_bpb) {}

  /// @return whether this probe is the best so far; its weights must then be saved.
  bool offer(const ProbeSummary& probe);
  const std::optional<ProbeSummary>& best() const { return best_; }
  /// By how much the bound is above the budget; <= 0 inside.
  double excess(const ProbeSummary& probe) const { return probe.worst_high - max_relative_bpb_; }
  bool is_inside(const ProbeSummary& probe) const { return excess(probe) <= 0; }
  bool has_inside() const { return best_ && is_inside(*best_); }
  /// Whether any probe after the first step was inside.
  bool has_trained_inside() const { return has_trained_inside_; }

  Json to_json() const;
  void restore(const Json& json, const std::filesystem::path& file);

 private:
  bool is_better(const ProbeSummary& probe, const ProbeSummary& best) const;

  double max_relative_bpb_;
  std::optional<ProbeSummary> best_;
  bool has_trained_inside_ = false;
};

}  // namespace polygraft::trainer
