// tests/model/parallel/in_process.h: ranks as threads of one process, for tests.
#pragma once
#include <functional>

#include "model/parallel/communicator.h"

namespace polygraft::parallel {

/// Runs `work` once for each rank, each in a thread of its own, and returns when all have ended.
/// When calls throw, the others' waits throw a RankError, and the first exception that is none is
/// rethrown.
void run_in_threads(int num_ranks, Timeout timeout,
                    const std::function<void(Communicator& world)>& work);

}  // namespace polygraft::parallel
