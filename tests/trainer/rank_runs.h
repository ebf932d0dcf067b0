// tests/trainer/rank_runs.h: a training job on several ranks, which are threads, and its death.
#pragma once
#include "model/parallel/rank_grid.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"
#include "trainer/trainer.h"

namespace polygraft::testing {

inline void train_as_rank(parallel::Communicator& world, parallel::GridShape shape,
                          trainer::TrainJob job) {
  const parallel::RankGrid grid(world, shape);
  job.ranks = &grid;
  trainer::train(job);
}

inline void train_on(parallel::GridShape shape, const trainer::TrainJob& job) {
  const auto work = [&](parallel::Communicator& world) { train_as_rank(world, shape, job); };
  parallel::run_in_threads(static_cast<int>(shape.ep * shape.dp), kPatience, work);
}

struct Killed {};

/// The job with a checkpoint each step, up to the death of all of its ranks after the step `last`.
inline trainer::TrainJob mortal(const trainer::TrainJob& job, int64_t last) {
  trainer::TrainJob dying = job;
  dying.train.checkpoint.every_tokens = 1;
  dying.on_step = [=](int64_t step) {
    if (step == last) throw Killed();
  };
  return dying;
}

}  // namespace polygraft::testing
