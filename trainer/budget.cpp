// trainer/budget.cpp: see budget.h.
#include "trainer/budget.h"

#include <algorithm>
#include <cmath>

namespace polygraft::trainer {
namespace {

constexpr double kGentleRaise = 1.5;
constexpr double kSteepRaise = 2.0;
constexpr double kLargestScale = 64.0;

Json summary_json(const std::optional<ProbeSummary>& probe) {
  if (!probe) return nullptr;
  return {{"step", probe->step},
          {"progress", probe->progress},
          {"worst_delta", probe->worst_delta},
          {"worst_low", probe->worst_low},
          {"new_bits_per_byte", probe->new_bits_per_byte}};
}

std::optional<ProbeSummary> summary_from(const Json& json, const std::filesystem::path& file) {
  if (json.is_null()) return std::nullopt;
  ProbeSummary probe;
  probe.step = json_get<int64_t>(json, "step", file);
  probe.progress = json_get<double>(json, "progress", file);
  probe.worst_delta = json_get<double>(json, "worst_delta", file);
  probe.worst_low = json_get<double>(json, "worst_low", file);
  probe.new_bits_per_byte = json_get<double>(json, "new_bits_per_byte", file);
  return probe;
}

}  // namespace

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

bool BudgetController::is_on_track(const ProbeSummary& probe) const {
  const double limit = config_.max_relative_bpb;
  if (!last_ || limit <= 0 || probe.progress <= last_->progress) return false;
  if (probe.worst_delta >= last_->worst_delta) return false;
  const double remaining = (1.0 - probe.progress) / (probe.progress - last_->progress);
  const double ratio = probe.worst_delta / last_->worst_delta;
  return probe.worst_delta * std::pow(ratio, remaining) <= limit;
}

BudgetAction BudgetController::decide(const ProbeSummary& probe) {
  const std::optional<ProbeSummary> before = last_;
  const bool exceeded =
      probe.step > 0 && probe.worst_low > config_.max_relative_bpb && !is_on_track(probe);
  last_ = probe;
  if (!exceeded) return BudgetAction::kNone;
  if (config_.on_exceeded == "stop") return BudgetAction::kStop;
  const bool falling = before && probe.worst_delta < before->worst_delta;
  const double raise = falling ? kGentleRaise : kSteepRaise;
  protection_scale_ = std::min(protection_scale_ * raise, kLargestScale);
  return config_.on_exceeded == "rollback" ? BudgetAction::kRollback : BudgetAction::kProtect;
}

Json BudgetController::to_json() const {
  return {{"protection_scale", protection_scale_}, {"last", summary_json(last_)}};
}

void BudgetController::restore(const Json& json, const std::filesystem::path& file) {
  protection_scale_ = json_get<double>(json, "protection_scale", file);
  last_ = summary_from(json_get<Json>(json, "last", file), file);
}

bool BestTracker::offer(const ProbeSummary& probe) {
  const bool inside = is_inside(probe);
  bool better = !best_;
  if (best_ && inside != has_inside()) {
    better = inside;
  } else if (best_) {
    better = inside ? probe.new_bits_per_byte < best_->new_bits_per_byte
                    : probe.worst_delta < best_->worst_delta;
  }
  if (better) best_ = probe;
  return better;
}

Json BestTracker::to_json() const { return summary_json(best_); }

void BestTracker::restore(const Json& json, const std::filesystem::path& file) {
  best_ = summary_from(json, file);
}

}  // namespace polygraft::trainer
