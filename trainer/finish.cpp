// trainer/finish.cpp: the end of a run: the weights that are its result, and the output.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <string>

#include "core/log.h"
#include "core/text.h"
#include "trainer/blend_search.h"
#include "trainer/output.h"
#include "trainer/training_run.h"

namespace polygraft::trainer {
namespace {

constexpr int kTries = 3;

std::vector<at::Tensor> copies(const Parameters& parameters) {
  std::vector<at::Tensor> copied;
  for (const at::Tensor& value : values(parameters)) copied.push_back(value.detach().clone());
  return copied;
}

void move_towards(const Parameters& parameters, const std::vector<at::Tensor>& target,
                  double share) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters.size(); ++i) {
    at::Tensor value = parameters[i].value;
    value.lerp_(target[i], share);
  }
}

/// What no training mends.
std::string segmentation_hint(const ProbeSummary& probe) {
  if (probe.segmentation <= std::max(probe.routing, probe.head)) return "";
  return concat("; ", percent(probe.segmentation, 2), " of it by text that the extended tokenizer ",
                "cuts otherwise than the base's: extend it anew with such text guarded");
}

}  // namespace

Json to_json(const Blend& blend) {
  return {{"from_step", blend.from_step}, {"share", blend.share}};
}

Json to_json(const TrainResult& result) {
  Json probe = Json::object();
  for (const auto& [language, line] : result.last_probe) {
    probe[language] = {{"bits_per_byte", line.bits_per_byte},
                       {"delta_relative", line.delta_relative},
                       {"ci_low", line.ci_low},
                       {"ci_high", line.ci_high}};
  }
  return {{"steps", result.steps},
          {"tokens", result.tokens},
          {"seconds", result.seconds},
          {"probe_seconds", result.probe_seconds},
          {"best_step", result.best_step},
          {"blend", result.blend ? to_json(*result.blend) : Json(nullptr)},
          {"within_budget", result.within_budget},
          {"probe", probe}};
}

/// Often the last weights know most and are beyond the budget by a little, while those of an
/// earlier probe are inside: weights between the two become the best if they know more.
std::optional<Blend> TrainingRun::blend_into_budget() {
  if (state_.stopped || !last_probe_ || !best_->has_inside()) return std::nullopt;
  const ProbeSummary outside = probe_.summarise(*last_probe_, state_.step);
  if (best_->is_inside(outside)) return std::nullopt;
  const int64_t from_step = best_->best()->step;
  const std::vector<at::Tensor> last = copies(parameters_);
  std::optional<Blend> best_blend;
  BlendSearch search(best_->excess(*best_->best()), best_->excess(outside));
  for (int i = 0; i < kTries; ++i) {
    const Blend blend{from_step, search.share()};
    load_best(from_step);
    move_towards(parameters_, last, blend.share);
    use_new_values();
    Json line = run_probe_line();
    const ProbeSummary summary = probe_.summarise(*last_probe_, state_.step);
    search.tell(best_->excess(summary));
    if (offer_best(summary)) best_blend = blend;
    line["blend"] = to_json(blend);
    append(line);
  }
  last_probe_.reset();  // these weights are not the best
  if (best_blend) {
    log_info(concat("weights ", fixed(100 * best_blend->share, 1), " % of the way from step ",
                    from_step, " to the last are inside the budget, and are the result"));
  }
  return best_blend;
}

bool TrainingRun::is_untrained(const TrainResult& result) const {
  return result.best_step == 0 && !result.blend && state_.step > 0;
}

/// Which weights are written, where they are not the last ones.
void TrainingRun::tell_result(const TrainResult& result) const {
  const ProbeSummary& best = *best_->best();
  const std::string limit = percent(job_.train.budget->max_relative_bpb, 2);
  if (is_untrained(result) && best_->has_trained_inside()) {
    log_warn(concat("what was inside the interference budget of ", limit,
                    " knows the new text no better than the start did: the weights from before ",
                    "training are written; train longer, or at another learning rate"));
  } else if (is_untrained(result)) {
    log_warn(concat("nothing that was learned is inside the interference budget of ", limit,
                    ": the weights from before training are written; lower the learning rate, or ",
                    "protect more"));
  } else if (!result.within_budget) {
    log_warn(concat("no probe was inside the interference budget of ", limit,
                    "; the least harmful one's weights are written: step ", best.step, ", ",
                    best.worst, " ", percent(best.worst_delta, 2), " (up to ",
                    percent(best.worst_high, 2), ")", segmentation_hint(best)));
  } else if (best.step != state_.step) {
    log_info(concat("the weights of step ", best.step, " of ", state_.step,
                    " are written: the best inside the budget"));
  }
}

TrainResult TrainingRun::finish() {
  TrainResult result;
  result.best_step = state_.step;
  if (best_) {
    result.blend = blend_into_budget();
    result.best_step = best_->best()->step;
    result.within_budget = best_->has_inside() && !is_untrained(result);
    if (result.best_step != state_.step || !last_probe_) load_best(result.best_step);
  }
  if (!last_probe_) last_probe_ = run_probe();
  result.last_probe = *last_probe_;
  result.steps = state_.step;
  result.tokens = state_.tokens;
  result.seconds = state_.seconds;
  result.probe_seconds = state_.probe_seconds;
  if (best_) tell_result(result);
  if (ranks_.is_first()) {
    metrics_->sync();
    write_trained(job_, trainee_, result);
  }
  ranks_.wait_for_all();
  return result;
}

}  // namespace polygraft::trainer
