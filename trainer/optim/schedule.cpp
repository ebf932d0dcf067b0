// trainer/optim/schedule.cpp: see schedule.h.
#include "trainer/optim/schedule.h"

#include <cmath>
#include <numbers>

namespace polygraft::trainer {

int64_t count_steps(const TrainConfig& config) {
  return (config.tokens + config.batch_tokens - 1) / config.batch_tokens;
}

double learning_rate_at(const OptimizerConfig& config, int64_t step, int64_t num_steps) {
  const auto num_warmup =
      static_cast<int64_t>(std::ceil(config.warmup_fraction * static_cast<double>(num_steps)));
  if (step < num_warmup) {
    return config.learning_rate * static_cast<double>(step + 1) / static_cast<double>(num_warmup);
  }
  if (config.schedule == "constant") return config.learning_rate;
  const int64_t num_decaying = num_steps - num_warmup;
  const double progress =
      static_cast<double>(step - num_warmup + 1) / static_cast<double>(num_decaying);
  const double cosine = 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
  const double share = config.final_fraction + (1.0 - config.final_fraction) * cosine;
  return config.learning_rate * share;
}

}  // namespace polygraft::trainer
