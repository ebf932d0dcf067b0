// trainer/optim/schedule.h: the learning rate as a pure function of the step.
// Linear warm-up, then cosine (Loshchilov and Hutter 2017, arXiv 1608.03983) down to a share of the
// peak, or constant.
#pragma once
#include <cstdint>

#include "trainer/config.h"

namespace polygraft::trainer {

/// Optimizer steps of a run: its tokens over a step's, rounded up.
int64_t count_steps(const TrainConfig& config);

/// @param step from 0 to num_steps - 1. The first step already has a positive rate; the last
/// warm-up step has the peak rate; the last step of a cosine has exactly final_fraction of it.
double learning_rate_at(const OptimizerConfig& config, int64_t step, int64_t num_steps);

}  // namespace polygraft::trainer
