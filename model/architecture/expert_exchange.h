// model/architecture/expert_exchange.h: the tokens of a layer on their way to the ranks that hold
// their experts, and back, as exchange_plan.h has settled. A result comes back for every slot, so
// that its own rank can sum them in slot order. Nothing is dropped, nothing padded. Rows lie on the
// CPU or on this rank's GPU. Legend: T tokens of this rank, K experts of a token, R = T K slots; S
// slots that came here and U tokens that they came with; D width.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/exchange_plan.h"

namespace polygraft::model {

/// One layer's exchange: made by the forward pass, used again backward.
class ExpertExchange {
 public:
  /// Starts to send notes and tokens out. @param x_TD contiguous.
  ExpertExchange(parallel::Communicator& group, ExchangePlan plan, const at::Tensor& x_TD);

  const Arrivals& arrivals() const { return plan_.arrivals; }
  /// The tokens that came, x_UD; waits until they are here.
  const at::Tensor& tokens() { return arrived(tokens_); }
  /// Of the slots that came: int64 [S], a device::SlotNote each; waits until they are here.
  const at::Tensor& notes() { return arrived(notes_); }
  /// Ids of the experts that this rank computes, ascending.
  const std::vector<int64_t>& own_experts() const { return plan_.own_experts; }

  /// Results of the slots that came here go back. @return [R, D], in the order in which they were
  /// sent.
  at::Tensor return_rows(const at::Tensor& rows_SD);
  /// The same for one number of each slot. @return [T, K].
  at::Tensor return_numbers(const at::Tensor& numbers_S, int64_t top_k);
  /// Rows of the same tokens follow: the gradients of their outputs. @return [U, D].
  at::Tensor send_tokens(const at::Tensor& rows_TD);

  /// Where among the rows that come back each slot's is: [R].
  const at::Tensor& place_of_slot() const { return plan_.place_of_slot; }

 private:
  /// Rows under way; what is sent is kept until they are here.
  struct Sending {
    at::Tensor sent, received;
    parallel::PendingPtr under_way;
  };
  /// @param rows in the order of sending, rank after rank.
  Sending start_sending(at::Tensor rows, const std::vector<int64_t>& first,
                        const std::vector<int64_t>& first_received);
  Sending start_sending_tokens(const at::Tensor& rows_TD);
  static const at::Tensor& arrived(Sending& sending);

  parallel::Communicator& group_;
  ExchangePlan plan_;
  Sending notes_, tokens_;
};

}  // namespace polygraft::model
