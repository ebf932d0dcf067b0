// tests/model/simulated_gpu/simulated_nccl.h: ranks that are threads, with a simulated GPU each, as
// processes over NCCL (model/parallel/nccl.h) are seen by those who use them.
#pragma once
#include <functional>

#include "model/parallel/communicator.h"

namespace polygraft::testing {

/// As parallel::run_in_threads(); what ranks exchange may lie on simulated GPUs, or on the CPU.
void run_on_gpus(int num_ranks, parallel::Timeout timeout,
                 const std::function<void(parallel::Communicator& world)>& work);

}  // namespace polygraft::testing
