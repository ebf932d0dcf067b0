// trainer/budget.cpp: see budget.h.
#include "trainer/budget.h"

#include <algorithm>
#include <cmath>

#include "core/json.h"
#include "core/text.h"

namespace polygraft::trainer {
namespace {

constexpr double kSmallest = 1.0 / 8;
constexpr double kPeakSlack = 2.0;  ///< how far beyond the budget the limit is at the peak rate
constexpr double kAim = 0.75;       ///< of the limit: where the bound is led to
constexpr double kGain = 1.5;       ///< above 1.9 a harm that falls as 1/m^2 would swing for ever

/// In powers of two, at most one.
double ascent_step(double bound, double limit) {
  if (limit <= 0) return bound > 0 ? 1.0 : 0.0;
  return std::clamp(kGain * (bound / limit - kAim), -1.0, 1.0);
}

Json summary_json(const std::optional<ProbeSummary>& probe) {
  if (!probe) return nullptr;
  return {{"step", probe->step},
          {"worst", probe->worst},
          {"worst_delta", probe->worst_delta},
          {"worst_high", probe->worst_high},
          {"worst_low", probe->worst_low},
          {"routing", probe->routing},
          {"head", probe->head},
          {"segmentation", probe->segmentation},
          {"new_bits_per_byte", probe->new_bits_per_byte},
          {"rate_to_fall", probe->rate_to_fall}};
}

std::optional<ProbeSummary> summary_from(const Json& json, const std::filesystem::path& file) {
  if (json.is_null()) return std::nullopt;
  ProbeSummary probe;
  probe.step = json_get<int64_t>(json, "step", file);
  probe.worst = json_get<std::string>(json, "worst", file);
  probe.worst_delta = json_get<double>(json, "worst_delta", file);
  probe.worst_high = json_get<double>(json, "worst_high", file);
  probe.worst_low = json_get<double>(json, "worst_low", file);
  probe.routing = json_get<double>(json, "routing", file);
  probe.head = json_get<double>(json, "head", file);
  probe.segmentation = json_get<double>(json, "segmentation", file);
  probe.new_bits_per_byte = json_get<double>(json, "new_bits_per_byte", file);
  probe.rate_to_fall = json_get<double>(json, "rate_to_fall", file);
  return probe;
}

}  // namespace

Json Multipliers::to_json() const { return {{"routing", routing}, {"head", head}}; }

std::string Multipliers::text() const {
  return concat("protection x", fixed(routing, 2), " routing, x", fixed(head, 2), " head");
}

std::string_view action_name(BudgetAction action) {
  switch (action) {
    case BudgetAction::kProtect:
      return "protect";
    case BudgetAction::kRollback:
      return "rollback";
    case BudgetAction::kStop:
      return "stop";
    case BudgetAction::kNone:
      break;
  }
  return "none";
}

double BudgetController::limit(const ProbeSummary& probe) const {
  return config_.max_relative_bpb * (1 + kPeakSlack * std::pow(probe.rate_to_fall, 2));
}

void BudgetController::move_multipliers(const ProbeSummary& probe) {
  const double step = ascent_step(probe.worst_high, limit(probe));
  const double leading = std::max({probe.routing, probe.head, probe.segmentation});
  const auto share = [&](double of) {
    return step > 0 && leading > 0 ? std::max(of, 0.0) / leading : 1.0;
  };
  const auto move = [&](double& multiplier, double of) {
    multiplier = std::clamp(multiplier * std::exp2(step * share(of)), kSmallest, most_);
  };
  move(multipliers_.routing, probe.routing);
  move(multipliers_.head, probe.head);
}

BudgetAction BudgetController::next_action(const ProbeSummary& probe, bool can_roll_back) const {
  if (!is_exceeded(probe)) return BudgetAction::kNone;
  if (config_.on_exceeded == "stop") return BudgetAction::kStop;
  const bool protecting_helps =
      can_protect() && (!protected_delta_ || probe.worst_delta < *protected_delta_);
  if (can_roll_back && !protecting_helps) return BudgetAction::kRollback;
  return can_protect() ? BudgetAction::kProtect : BudgetAction::kNone;
}

BudgetAction BudgetController::decide(const ProbeSummary& probe, bool can_roll_back) {
  if (probe.step == 0) return BudgetAction::kNone;
  const BudgetAction action = next_action(probe, can_roll_back);
  if (most_ > 0) move_multipliers(probe);
  protected_delta_.reset();
  if (action == BudgetAction::kProtect) protected_delta_ = probe.worst_delta;
  return action;
}

Json BudgetController::to_json() const {
  return {{"multipliers", multipliers_.to_json()},
          {"protected_delta", protected_delta_ ? Json(*protected_delta_) : Json(nullptr)}};
}

void BudgetController::restore(const Json& json, const std::filesystem::path& file) {
  const auto multipliers = json_get<Json>(json, "multipliers", file);
  multipliers_.routing = json_get<double>(multipliers, "routing", file);
  multipliers_.head = json_get<double>(multipliers, "head", file);
  const auto delta = json_get<Json>(json, "protected_delta", file);
  protected_delta_.reset();
  if (!delta.is_null()) protected_delta_ = json_get<double>(json, "protected_delta", file);
}

bool BestTracker::offer(const ProbeSummary& probe) {
  const bool better = !best_ || is_better(probe, *best_);
  if (better) best_ = probe;
  has_trained_inside_ |= probe.step > 0 && is_inside(probe);
  return better;
}

bool BestTracker::is_better(const ProbeSummary& probe, const ProbeSummary& best) const {
  const bool inside = is_inside(probe);
  if (inside != is_inside(best)) return inside;
  if (inside) return probe.new_bits_per_byte < best.new_bits_per_byte;
  return best.step == 0 || probe.worst_high < best.worst_high;
}

Json BestTracker::to_json() const {
  Json json = summary_json(best_);
  if (best_) json["has_trained_inside"] = has_trained_inside_;
  return json;
}

void BestTracker::restore(const Json& json, const std::filesystem::path& file) {
  best_ = summary_from(json, file);
  has_trained_inside_ = best_ && json_get<bool>(json, "has_trained_inside", file);
}

}  // namespace polygraft::trainer
