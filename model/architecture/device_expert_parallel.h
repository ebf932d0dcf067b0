// model/architecture/device_expert_parallel.h: the experts of a layer shared out over a group of
// ranks with a GPU each, which has a slice of the base's experts and one of the added ones, and no
// others (device_weights.h). The exchange is that of CPUs (expert_exchange.h), rows in bfloat16
// from GPU to GPU; the experts' mathematics is device_experts.h's, weight gradients kept apart by
// source as ExpertParallel's are. What goes where is settled on the GPU; the CPU waits for the
// counts of every layer, and the GPU itself for every exchange.
#pragma once
#include "model/architecture/expert_parallel.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// As moe_experts_on(), but that added experts' gradients are left in parallel.gradient(). All
/// ranks of the group make the same calls. @param gate_up, down with banks of this rank's share.
/// @param num_base experts of the base, all ranks'. @param meanwhile as of
/// ExpertParallel::experts().
at::Tensor shared_experts_on(
    device::Executor& executor, ExpertParallel& parallel, const at::Tensor& x_TD,
    const Routing& routing, const SplitRows& gate_up, const SplitRows& down, int64_t num_base,
    bool silence_added = false, const Meanwhile& meanwhile = [] {});

}  // namespace polygraft::model
