// model/architecture/expert_exchange.h: the tokens of a layer on their way to the ranks that hold
// their experts, and back, as exchange_plan.h has settled. A result comes back for every slot, so
// that its own rank can sum them in slot order. Nothing is dropped, nothing padded. Rows lie on the
// CPU or on this rank's GPU. Legend: T tokens of this rank, K experts of a token, R = T K slots; S
// slots that came here and U tokens that they came with; D width.
#pragma once
#include <ATen/ATen.h>

#include "model/architecture/exchange_plan.h"

namespace polygraft::model {

/// Rows on their way. What is sent is kept until arrived().
class SentRows {
 public:
  SentRows() = default;
  SentRows(at::Tensor sent, at::Tensor received, parallel::PendingPtr under_way)
      : sent_(std::move(sent)), received_(std::move(received)), under_way_(std::move(under_way)) {}

  /// Those that came, for what is computed from here on: a CPU waits until they are here, and a GPU
  /// will.
  const at::Tensor& arrived();

 private:
  at::Tensor sent_, received_;
  parallel::PendingPtr under_way_;
};

/// One layer's exchange: made by the forward pass, used again backward.
class ExpertExchange {
 public:
  /// Starts to send notes and tokens out. @param x_TD contiguous.
  ExpertExchange(parallel::Communicator& group, ExchangePlan plan, const at::Tensor& x_TD);

  const Arrivals& arrivals() const { return plan_.arrivals; }
  /// The tokens that came, x_UD; as SentRows::arrived().
  const at::Tensor& tokens() { return tokens_.arrived(); }
  /// Of the slots that came: int64 [S], a device::SlotNote each; nothing of them is kept.
  at::Tensor take_notes();
  /// Ids of the experts that this rank computes, ascending.
  const std::vector<int64_t>& own_experts() const { return plan_.own_experts; }

  /// Rows of all tokens to where their experts are; first the tokens, then the gradients of their
  /// outputs. [T, D] arrive as [U, D].
  SentRows send(const at::Tensor& rows_TD);
  /// Results of the slots that came here go back: [S, ..] arrive as [R, ..], in the order in which
  /// slots were sent.
  SentRows send_back(const at::Tensor& rows_S);

  /// Where among the rows that come back each slot's is: [R].
  const at::Tensor& place_of_slot() const { return plan_.place_of_slot; }
  /// Numbers that came back, by token: [T, K].
  at::Tensor by_token(const at::Tensor& numbers_R, int64_t top_k) const;

 private:
  /// @param rows rank after rank. @param first, first_received where each rank's begin.
  SentRows start(at::Tensor rows, const std::vector<int64_t>& first,
                 const std::vector<int64_t>& first_received);

  parallel::Communicator& group_;
  ExchangePlan plan_;
  SentRows notes_, tokens_;
};

}  // namespace polygraft::model
