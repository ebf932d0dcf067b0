// model/architecture/device_exchange_plan.h: exchange_plan.h's plan made on a GPU, with the bodies
// of model/device/slot_notes.h. Experts stay where they are, so that the order of sending (by rank,
// then by expert) is known before; what the CPU has to know are counts, and it waits for those
// alone. Legend: T tokens of this rank, K experts of a token, R = T K; S slots that came.
#pragma once
#include "model/architecture/exchange_plan.h"
#include "model/architecture/moe_layer.h"
#include "model/device/executor.h"

namespace polygraft::model {

/// @param experts dealt in slices, hence as if all trained. @param routing on the GPU, contiguous.
/// All ranks of the group call it.
ExchangePlan plan_exchange_on_device(device::Executor& executor, parallel::Communicator& group,
                                     const DealtExperts& experts, const Routing& routing,
                                     bool wants_d_x);

/// Slots that came, as device_experts.h wants them.
struct CameSlots {
  at::Tensor token_S;    ///< int32, among the tokens that came
  at::Tensor expert_S1;  ///< int32, among this rank's; base experts first
  at::Tensor weight_S1;  ///< float32
};

/// @param notes int64 [S], a device::SlotNote each.
CameSlots read_notes(device::Executor& executor, const Arrivals& arrivals, const at::Tensor& notes);

}  // namespace polygraft::model
