// trainer/budget.h: interference as a constraint: what to do after a probe, and which weights are
// the result. Interference of a protected run usually falls while it trains (it begins at what the
// closed-form rows leave), so what counts is where it will end: a run that is on its way into the
// budget is left alone.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"
#include "trainer/config.h"

namespace polygraft::trainer {

/// One probe in four numbers; the worst old language is the one with the highest lower bound
/// (delta: highest estimate).
struct ProbeSummary {
  int64_t step = 0;
  double progress = 0;           ///< share of the run's steps done, 0 to 1
  double worst_delta = 0;        ///< relative rise in bits per byte, point estimate
  double worst_low = 0;          ///< lower confidence bound of the rise
  double new_bits_per_byte = 0;  ///< mean over learned languages
};

enum class BudgetAction { kNone, kProtect, kRollback, kStop };
std::string_view action_name(BudgetAction action);

class BudgetController {
 public:
  explicit BudgetController(const BudgetConfig& config) : config_(config) {}

  /// Notes a probe and decides. Exceeded: the lower bound is above the budget, something has been
  /// trained, and the fall since the last probe, continued geometrically, would not end inside.
  /// Protection is then raised by half, or doubled when interference is not falling at all, up to
  /// 64 times the configured weights.
  BudgetAction decide(const ProbeSummary& probe);

  double protection_scale() const { return protection_scale_; }

  Json to_json() const;
  void restore(const Json& json, const std::filesystem::path& file);

 private:
  bool is_on_track(const ProbeSummary& probe) const;

  BudgetConfig config_;
  double protection_scale_ = 1.0;
  std::optional<ProbeSummary> last_;
};

/// The probe whose weights are written at the end: among those whose worst estimate is inside the
/// budget the one with the lowest bits per byte of new text; while there is none, the least harmful
/// one.
class BestTracker {
 public:
  explicit BestTracker(double max_relative_bpb) : max_relative_bpb_(max_relative_bpb) {}

  /// @return whether this probe is the best so far; its weights must then be saved.
  bool offer(const ProbeSummary& probe);
  const std::optional<ProbeSummary>& best() const { return best_; }
  bool is_inside(const ProbeSummary& probe) const { return probe.worst_delta <= max_relative_bpb_; }
  bool has_inside() const { return best_ && is_inside(*best_); }

  Json to_json() const;
  void restore(const Json& json, const std::filesystem::path& file);

 private:
  double max_relative_bpb_;
  std::optional<ProbeSummary> best_;
};

}  // namespace polygraft::trainer
