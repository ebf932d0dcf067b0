// model/architecture/expert_exchange.h: the tokens of a layer on their way to the ranks that hold
// their experts, and back. Ranks first tell one another how many rows each has for every expert,
// and deal experts by that (expert_deal.h). A token goes once to each rank that has any of its
// experts, with a note for each of its slots there; a result comes back for every slot, so that its
// own rank can sum them in slot order. Nothing is dropped, nothing padded. Rows lie on the CPU or
// on this rank's GPU; what goes where is the CPU's to know. Legend: T tokens of this rank, K
// experts of a token, R = T K slots; S slots that came here and U tokens that they came with; D
// width.
#pragma once
#include <ATen/ATen.h>

#include <optional>
#include <vector>

#include "model/architecture/expert_deal.h"
#include "model/architecture/sorted_slots.h"
#include "model/parallel/communicator.h"

namespace polygraft::model {

/// A slot as the rank of its expert sees it.
struct SlotNote {
  int32_t token = 0;  ///< among those that came from the same rank
  float weight = 0;
};

/// What a rank's experts have to work on. Slots lie in the order in which they came, source after
/// source, each source's sorted by expert, in token order.
struct Arrivals {
  std::vector<std::vector<int64_t>> rows_of_expert;  ///< [source][expert of this rank]
  std::vector<int64_t> first_slot, first_token;      ///< by source, and the total at the end
  std::vector<SlotNote> notes;                       ///< [S]
  bool any_wants_d_x = false;                        ///< of any source

  int64_t num_slots() const { return first_slot.back(); }
};

/// One layer's exchange: made by the forward pass, used again backward.
class ExpertExchange {
 public:
  /// Deals experts and starts to send tokens out. @param x_TD contiguous, on any device. @param
  /// slots sorted over all experts. @param weight_TK float32, on the CPU.
  ExpertExchange(parallel::Communicator& group, const DealtExperts& experts,
                 const SortedSlots& slots, const at::Tensor& x_TD, const at::Tensor& weight_TK,
                 bool wants_d_x);

  const Arrivals& arrivals() const { return arrivals_; }
  /// The tokens that came, x_UD; waits until they are here.
  const at::Tensor& tokens();
  /// Ids of the experts that this rank computes, ascending.
  const std::vector<int64_t>& own_experts() const { return deal_->experts_of(group_.rank()); }

  /// Results of the slots that came here go back. @return [R, D], in the order in which they were
  /// sent.
  at::Tensor return_rows(const at::Tensor& rows_SD);
  /// The same for one number of each slot. @return [T, K].
  at::Tensor return_numbers(const at::Tensor& numbers_S);
  /// Rows of the same tokens follow: the gradients of their outputs. @return [U, D].
  at::Tensor send_tokens(const at::Tensor& rows_TD);

  /// Where among the rows that come back each slot's is. int64 [R], on the device of rows.
  const at::Tensor& place_of_slot() const { return place_of_slot_; }

 private:
  void share_counts(const DealtExperts& experts, const SortedSlots& slots, bool wants_d_x);
  void plan(const SortedSlots& slots, at::Device rows_device);
  void exchange_notes(const at::Tensor& weight_TK);
  /// Rows on their way to the ranks of their tokens' experts.
  struct Sending {
    at::Tensor sent, received;
    parallel::PendingPtr under_way;
  };
  Sending start_sending(const at::Tensor& rows_TD);
  std::vector<SlotNote> outgoing_notes(const at::Tensor& weight_TK) const;

  parallel::Communicator& group_;
  std::optional<ExpertDeal> deal_;
  int64_t num_tokens_, top_k_;
  // What goes out, by receiving rank.
  std::vector<int64_t> first_slot_;                  // in the order of sending, and the total
  std::vector<int64_t> slot_of_place_, token_note_;  // [R], in that order
  at::Tensor place_of_slot_;
  std::vector<int64_t> first_token_;  // each rank's distinct tokens
  at::Tensor tokens_;                 // int64, on the device of rows
  Arrivals arrivals_;
  Sending tokens_under_way_;  // sent and under_way until they are here
};

}  // namespace polygraft::model
