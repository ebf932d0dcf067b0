// model/architecture/exchange_plan.h: what goes where when a layer's tokens travel to the ranks
// that hold their experts. Ranks tell one another how many rows each has for every expert; a token
// goes once to each rank that has any of its experts, with a note for each of its slots there.
// Made on the CPU (here: experts are dealt by their rows, expert_deal.h) or on a GPU
// (device_exchange_plan.h). Legend: T tokens of this rank, K experts of a token, R = T K slots; S
// slots that come here and U tokens that they come with.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/architecture/expert_deal.h"
#include "model/architecture/sorted_slots.h"
#include "model/device/slot_notes.h"
#include "model/parallel/communicator.h"

namespace polygraft::model {

/// What a rank's experts have to work on. Slots lie in the order in which they come, source after
/// source, each source's sorted by expert, in token order.
struct Arrivals {
  std::vector<std::vector<int64_t>> rows_of_expert;          ///< [source][expert of this rank]
  std::vector<int64_t> first_slot = {0}, first_token = {0};  ///< by source, and the total
  bool any_wants_d_x = false;  ///< whether any source wants the gradient of its tokens

  int64_t num_slots() const { return first_slot.back(); }
  int64_t num_tokens() const { return first_token.back(); }
  void add_source(std::vector<int64_t> rows, int64_t num_tokens, bool wants_d_x);
};

/// One rank's side of a layer's exchange. Tensors lie with the rows: int64 on the CPU, and int32 on
/// a GPU.
struct ExchangePlan {
  std::vector<int64_t> own_experts;              ///< ids of those of this rank, ascending
  std::vector<int64_t> first_slot, first_token;  ///< of what is sent, by rank, and the total
  at::Tensor token_of_sent;  ///< [first_token.back()]: tokens in the order of sending
  at::Tensor place_of_slot;  ///< [R]: where in the order of sending each slot is
  at::Tensor notes;          ///< int64 [R], a device::SlotNote each, in the order of sending
  Arrivals arrivals;
};

/// @param slots sorted over all experts. @param weight_TK float32. All ranks of the group call it.
ExchangePlan plan_exchange(parallel::Communicator& group, const DealtExperts& experts,
                           const SortedSlots& slots, const at::Tensor& weight_TK, bool wants_d_x);

}  // namespace polygraft::model
