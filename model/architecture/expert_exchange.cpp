// model/architecture/expert_exchange.cpp: see expert_exchange.h.
#include "model/architecture/expert_exchange.h"

namespace polygraft::model {
namespace {

/// Parts of a block of rows that lies rank after rank.
template <class Part>
std::vector<Part> parts_of(void* data, const std::vector<int64_t>& first, int64_t row_bytes) {
  std::vector<Part> parts;
  for (size_t r = 0; r + 1 < first.size(); ++r) {
    parts.emplace_back(static_cast<std::byte*>(data) + first[r] * row_bytes,
                       static_cast<size_t>((first[r + 1] - first[r]) * row_bytes));
  }
  return parts;
}

}  // namespace

const at::Tensor& SentRows::arrived() {
  if (under_way_ != nullptr) {
    under_way_->follow();
    under_way_.reset();
    sent_.reset();
  }
  return received_;
}

ExpertExchange::ExpertExchange(parallel::Communicator& group, ExchangePlan plan,
                               const at::Tensor& x_TD)
    : group_(group), plan_(std::move(plan)) {
  notes_ = start(std::move(plan_.notes), plan_.first_slot, plan_.arrivals.first_slot);
  tokens_ = send(x_TD);
}

at::Tensor ExpertExchange::take_notes() {
  at::Tensor notes = notes_.arrived();
  notes_ = {};
  return notes;
}

SentRows ExpertExchange::start(at::Tensor rows, const std::vector<int64_t>& first,
                               const std::vector<int64_t>& first_received) {
  auto shape = rows.sizes().vec();
  shape[0] = first_received.back();
  auto received = at::empty(shape, rows.options());
  const int64_t row_bytes = rows.element_size() * rows.stride(0);
  auto under_way = group_.start_all_to_all_v(
      {parts_of<parallel::ConstBytes>(const_cast<void*>(rows.const_data_ptr()), first, row_bytes),
       parts_of<parallel::Bytes>(received.mutable_data_ptr(), first_received, row_bytes)});
  return {std::move(rows), std::move(received), std::move(under_way)};
}

SentRows ExpertExchange::send(const at::Tensor& rows_TD) {
  return start(rows_TD.index_select(0, plan_.token_of_sent), plan_.first_token,
               plan_.arrivals.first_token);
}

SentRows ExpertExchange::send_back(const at::Tensor& rows_S) {
  return start(rows_S, plan_.arrivals.first_slot, plan_.first_slot);
}

at::Tensor ExpertExchange::by_token(const at::Tensor& numbers_R, int64_t top_k) const {
  const int64_t num_tokens = place_of_slot().numel() / top_k;
  return numbers_R.index_select(0, place_of_slot()).view({num_tokens, top_k});
}

}  // namespace polygraft::model
