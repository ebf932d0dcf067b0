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

ExpertExchange::ExpertExchange(parallel::Communicator& group, ExchangePlan plan,
                               const at::Tensor& x_TD)
    : group_(group), plan_(std::move(plan)) {
  notes_ = start_sending(std::move(plan_.notes), plan_.first_slot, plan_.arrivals.first_slot);
  tokens_ = start_sending_tokens(x_TD);
}

ExpertExchange::Sending ExpertExchange::start_sending(at::Tensor rows,
                                                      const std::vector<int64_t>& first,
                                                      const std::vector<int64_t>& first_received) {
  auto shape = rows.sizes().vec();
  shape[0] = first_received.back();
  const int64_t row_bytes = rows.element_size() * rows.stride(0);
  Sending sending;
  sending.received = at::empty(shape, rows.options());
  sending.sent = std::move(rows);
  sending.under_way = group_.start_all_to_all_v(
      {parts_of<parallel::ConstBytes>(const_cast<void*>(sending.sent.const_data_ptr()), first,
                                      row_bytes),
       parts_of<parallel::Bytes>(sending.received.mutable_data_ptr(), first_received, row_bytes)});
  return sending;
}

ExpertExchange::Sending ExpertExchange::start_sending_tokens(const at::Tensor& rows_TD) {
  return start_sending(rows_TD.index_select(0, plan_.token_of_sent), plan_.first_token,
                       plan_.arrivals.first_token);
}

const at::Tensor& ExpertExchange::arrived(Sending& sending) {
  if (sending.under_way != nullptr) {
    sending.under_way->wait();
    sending.under_way.reset();
    sending.sent.reset();
  }
  return sending.received;
}

at::Tensor ExpertExchange::send_tokens(const at::Tensor& rows_TD) {
  Sending rows = start_sending_tokens(rows_TD);
  return arrived(rows);
}

at::Tensor ExpertExchange::return_rows(const at::Tensor& rows_SD) {
  Sending rows = start_sending(rows_SD, plan_.arrivals.first_slot, plan_.first_slot);
  return arrived(rows);
}

at::Tensor ExpertExchange::return_numbers(const at::Tensor& numbers_S, int64_t top_k) {
  const int64_t num_tokens = place_of_slot().numel() / top_k;
  return return_rows(numbers_S).index_select(0, place_of_slot()).view({num_tokens, top_k});
}

}  // namespace polygraft::model
