// cli/pipeline/proposal.cpp: see proposal.h.
#include "cli/pipeline/proposal.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "expand/plan.h"

namespace polygraft::cli {
namespace {

constexpr double kUsableMemory = 0.7;
constexpr int64_t kBytesPerNewToken = 2000;
constexpr int64_t kNewRows = 8, kOldRows = 3;  ///< of one step
constexpr int64_t kRowTokens = 512;
constexpr double kEpochs = 2;
constexpr double kRecipeWidth = 192, kRecipeLearningRate = 4e-3;
constexpr int64_t kProbesPerRun = 10;

/// Two significant digits: a proposal should not look like a measurement.
int64_t round_count(double value) {
  if (value < 1) return 1;
  const double unit = std::pow(10.0, std::max(0.0, std::floor(std::log10(value)) - 1));
  return static_cast<int64_t>(std::llround(value / unit) * std::llround(unit));
}

double round_rate(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return std::round(value / unit) * unit;
}

void propose_additions(const ProposalInputs& inputs, const model::ModelConfig& base,
                       PipelineConfig& config) {
  const int64_t tokens = inputs.new_text.num_bytes / kBytesPerNewToken;
  config.tokenizer.new_tokens =
      std::to_string(round_count(static_cast<double>(std::clamp<int64_t>(tokens, 200, 10'000))));
  config.expand.experts_per_layer = std::max<int64_t>(base.num_experts / 4, 1);
  config.expand.experts_multiple_of = base.num_experts % 8 == 0 ? 8 : 1;
}

void propose_training(const ProposalInputs& inputs, const model::ModelConfig& base,
                      trainer::TrainConfig& train) {
  train.sequence_length = std::min(kRowTokens, base.max_positions);
  train.batch_tokens = (kNewRows + kOldRows) * train.sequence_length;
  if (!inputs.has_old_text) train.replay.source = "self";
  train.replay.fraction = round_rate(static_cast<double>(kOldRows) / (kNewRows + kOldRows));
  train.tokens = std::max(round_count(kEpochs * static_cast<double>(inputs.new_text.num_tokens) /
                                      (1 - train.replay.fraction)),
                          train.batch_tokens);
  train.optimizer.learning_rate = round_rate(
      kRecipeLearningRate * std::min(kRecipeWidth / static_cast<double>(base.hidden_size), 1.0));
  train.optimizer.warmup_fraction = 0.08;
  train.budget.emplace();
}

/// @return whether there was something left to shrink.
bool shrink(const model::ModelConfig& base, PipelineConfig& config) {
  trainer::TrainConfig& train = config.train;
  const int64_t at_once =
      train.micro_batch_tokens > 0 ? train.micro_batch_tokens : train.batch_tokens;
  if (at_once > train.sequence_length) {
    train.micro_batch_tokens = std::max(at_once / 2, train.sequence_length);
    return true;
  }
  const int64_t num_experts = expand::count_new_experts(base, config.expand);
  if (num_experts == 1) return false;
  config.expand.experts_per_layer = num_experts / 2;
  // Rounded up to whole eights it would stay as it is.
  if (num_experts / 2 < config.expand.experts_multiple_of) config.expand.experts_multiple_of = 1;
  return true;
}

bool fits(const ShapePlan& plan, const MachineConfig& machine) {
  return static_cast<double>(plan.peak_memory_bytes) <=
         kUsableMemory * machine.memory_gib * (1 << 30);
}

ShapePlan fit_memory(const model::ModelConfig& base, PipelineConfig& config) {
  ShapePlan plan = plan_from_shape(config);
  while (!fits(plan, config.machine)) {
    if (!shrink(base, config)) {
      throw ConfigError("init", "the smallest expansion of this model does not fit this machine")
          .expected(concat("at most ", fixed(100 * kUsableMemory, 0), " % of ",
                           config.machine.memory_gib, " GiB"))
          .found(human_bytes(static_cast<uint64_t>(plan.peak_memory_bytes)))
          .hint("--memory-gib N proposes sizes for another machine");
    }
    plan = plan_from_shape(config);
  }
  return plan;
}

}  // namespace

Proposal propose_pipeline(const ProposalInputs& inputs) {
  const model::ModelConfig base = read_moe_shape(inputs.base);
  Proposal proposal;
  PipelineConfig& config = proposal.config;
  config.base = inputs.base;
  config.machine = inputs.machine;
  propose_additions(inputs, base, config);
  propose_training(inputs, base, config.train);
  proposal.plan = fit_memory(base, config);
  const double seconds = proposal.plan.seconds;
  if (seconds > inputs.hours * 3600) {
    const double share = inputs.hours * 3600 / seconds;
    config.train.tokens = std::max(round_count(share * static_cast<double>(config.train.tokens)),
                                   config.train.batch_tokens);
    proposal.plan = plan_from_shape(config);
  }
  const int64_t between = std::max(config.train.tokens / kProbesPerRun, config.train.batch_tokens);
  config.train.probe.every_tokens = between;
  config.train.checkpoint.every_tokens = between;
  config.expand.experts_per_layer = expand::count_new_experts(base, config.expand);  // rounded up
  return proposal;
}

}  // namespace polygraft::cli
