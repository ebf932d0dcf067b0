// trainer/probing.cpp: what a run does about a probe: says it, shares out replay by it, holds the
// budget against it, keeps the best weights and returns to them.
#include <chrono>
#include <map>

#include "core/error.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/text.h"
#include "trainer/optim/schedule.h"
#include "trainer/training_run.h"

namespace polygraft::trainer {

/// A signal meets each rank in the middle of its own languages, or behind them: all stop together,
/// before any of them sends what it has found.
void TrainingRun::stop_together(const std::function<void()>& work) const {
  try {
    work();
  } catch (const Interrupted&) {
    ranks_.throw_if_stopped();
  }
  ranks_.throw_if_stopped();
}

ProbeResult TrainingRun::run_probe() const {
  ProbeResult own;
  stop_together([&] { own = probe_.run(); });
  return ranks_.gathered(std::move(own), probe_.num_teams());
}

/// Probes the weights as they are, and says so. @return the line for metrics.jsonl.
Json TrainingRun::run_probe_line() {
  const auto start = std::chrono::steady_clock::now();
  last_probe_ = run_probe();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  state_.probe_seconds += elapsed.count();
  worst_ = worst_text(*last_probe_, roles_);
  log_info(concat("step ", state_.step, ": ", probe_text(*last_probe_, roles_)));
  return {
      {"step", state_.step}, {"tokens", state_.tokens}, {"probe", probe_.to_json(*last_probe_)}};
}

void TrainingRun::probe() {
  Json line = run_probe_line();
  state_.probed_tokens = state_.tokens;
  if (budget_) {
    ProbeSummary summary = probe_.summarise(*last_probe_, state_.step);
    summary.rate_to_fall = rate_still_to_fall();
    if (data_.replayed && job_.train.replays_by_harm()) share_out_replay(line);
    apply_budget(summary, line);
  }
  append(line);
}

/// By what the last probe says of each language.
void TrainingRun::share_out_replay(Json& line) {
  std::map<std::string, double> rises;
  for (const auto& [language, probed] : *last_probe_) rises[language] = probed.ci_high;
  line["replay_shares"] = data_.replayed->follow(rises);
}

/// How much of the way from the run's last learning rate up to its peak the step before stood; 0
/// before the first, and where the rate does not fall.
double TrainingRun::rate_still_to_fall() const {
  if (state_.step == 0) return 0;
  const OptimizerConfig& config = job_.train.optimizer;
  const double last = learning_rate_at(config, num_steps_ - 1, num_steps_);
  const double above = learning_rate_at(config, state_.step - 1, num_steps_) - last;
  return above > 0 ? above / (config.learning_rate - last) : 0;
}

/// @return whether these weights are the best so far; they are then kept.
bool TrainingRun::offer_best(const ProbeSummary& summary) {
  const bool is_best = best_->offer(summary);
  if (is_best && ranks_.is_first()) checkpoints_.save_best(summary.step, parameters_);
  return is_best;
}

void TrainingRun::apply_budget(const ProbeSummary& summary, Json& line) {
  offer_best(summary);
  const BudgetAction action =
      is_finished() ? BudgetAction::kNone : budget_->decide(summary, best_->has_inside());
  line["budget"] = {{"action", action_name(action)},
                    {"limit", budget_->limit(summary)},
                    {"multipliers", budget_->multipliers().to_json()},
                    {"best_step", best_->best()->step}};
  if (action == BudgetAction::kNone) return;
  const bool protects = action == BudgetAction::kProtect;
  log_warn(concat("interference is beyond the budget: ", action_name(action),
                  protects ? concat("; ", budget_->multipliers().text()) : ""));
  if (action == BudgetAction::kStop) state_.stopped = true;
  if (action == BudgetAction::kRollback) roll_back();
}

void TrainingRun::roll_back() {
  log_info(concat("returning to the weights of step ", best_->best()->step));
  load_best(best_->best()->step);
  optimizer_.reset();  // its moments led away from these weights
}

/// The weights that were best at a probe.
void TrainingRun::load_best(int64_t step) {
  ranks_.wait_for_all();  // the first may be writing them
  checkpoints_.load_best(step, parameters_);
  use_new_values();
}

}  // namespace polygraft::trainer
