// model/architecture/expert_exchange.cpp: see expert_exchange.h.
#include "model/architecture/expert_exchange.h"

#include <algorithm>
#include <numeric>

#include "model/architecture/upload.h"

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

parallel::Exchange exchange_of(const void* send, const std::vector<int64_t>& send_first,
                               void* receive, const std::vector<int64_t>& receive_first,
                               int64_t row_bytes) {
  return {parts_of<parallel::ConstBytes>(const_cast<void*>(send), send_first, row_bytes),
          parts_of<parallel::Bytes>(receive, receive_first, row_bytes)};
}

int64_t row_bytes(const at::Tensor& rows) { return rows.size(1) * rows.element_size(); }

}  // namespace

ExpertExchange::ExpertExchange(parallel::Communicator& group, const DealtExperts& experts,
                               const SortedSlots& slots, const at::Tensor& x_TD,
                               const at::Tensor& weight_TK, bool wants_d_x)
    : group_(group), num_tokens_(x_TD.size(0)), top_k_(weight_TK.size(1)) {
  share_counts(experts, slots, wants_d_x);
  plan(slots, x_TD.device());
  exchange_notes(weight_TK);
  tokens_under_way_ = start_sending(x_TD);
}

void ExpertExchange::share_counts(const DealtExperts& experts, const SortedSlots& slots,
                                  bool wants_d_x) {
  // From each rank: its rows of every expert, and whether it wants the gradient of its tokens.
  const auto num_experts = static_cast<size_t>(experts.size());
  std::vector<int64_t> own;
  for (size_t e = 0; e < num_experts; ++e)
    own.push_back(slots.first_row[e + 1] - slots.first_row[e]);
  own.push_back(wants_d_x ? 1 : 0);
  const auto num_ranks = static_cast<size_t>(group_.size());
  std::vector<int64_t> all(num_ranks * own.size());
  group_.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  std::vector<int64_t> rows_of_expert(num_experts, 0);
  for (size_t i = 0; i < all.size(); ++i) {
    const size_t e = i % own.size();
    if (e < num_experts) rows_of_expert[e] += all[i];
  }
  deal_.emplace(experts, rows_of_expert, group_.size());
  arrivals_.first_slot = {0};
  for (size_t source = 0; source < num_ranks; ++source) {
    const int64_t* counts = all.data() + source * own.size();
    auto& rows = arrivals_.rows_of_expert.emplace_back();
    for (const int64_t e : own_experts()) rows.push_back(counts[e]);
    arrivals_.first_slot.push_back(
        std::accumulate(rows.begin(), rows.end(), arrivals_.first_slot.back()));
    arrivals_.any_wants_d_x = arrivals_.any_wants_d_x || counts[num_experts] != 0;
  }
}

void ExpertExchange::plan(const SortedSlots& slots, at::Device rows_device) {
  const int64_t* token_of_row = slots.token_of_row.const_data_ptr<int64_t>();
  const int64_t* slot_of_row = slots.slot_of_row.const_data_ptr<int64_t>();
  std::vector<int64_t> tokens, place_of_slot(static_cast<size_t>(slots.first_row.back()));
  std::vector<int64_t> note_of_token(static_cast<size_t>(num_tokens_));
  slot_of_place_.reserve(place_of_slot.size());
  token_note_.reserve(place_of_slot.size());
  for (int rank = 0; rank < deal_->num_ranks(); ++rank) {
    first_slot_.push_back(static_cast<int64_t>(slot_of_place_.size()));
    first_token_.push_back(static_cast<int64_t>(tokens.size()));
    std::fill(note_of_token.begin(), note_of_token.end(), -1);
    for (const int64_t e : deal_->experts_of(rank)) {
      for (int64_t row = slots.first_row[e]; row < slots.first_row[e + 1]; ++row) {
        int64_t& note = note_of_token[static_cast<size_t>(token_of_row[row])];
        if (note < 0) {
          note = static_cast<int64_t>(tokens.size()) - first_token_.back();
          tokens.push_back(token_of_row[row]);
        }
        place_of_slot[static_cast<size_t>(slot_of_row[row])] =
            static_cast<int64_t>(slot_of_place_.size());
        slot_of_place_.push_back(slot_of_row[row]);
        token_note_.push_back(note);
      }
    }
  }
  first_slot_.push_back(static_cast<int64_t>(slot_of_place_.size()));
  first_token_.push_back(static_cast<int64_t>(tokens.size()));
  tokens_ = sent_to(rows_device, at::tensor(tokens, at::kLong));
  place_of_slot_ = sent_to(rows_device, at::tensor(place_of_slot, at::kLong));
}

void ExpertExchange::exchange_notes(const at::Tensor& weight_TK) {
  const auto notes = outgoing_notes(weight_TK);
  arrivals_.notes.resize(static_cast<size_t>(arrivals_.num_slots()));
  group_.all_to_all_v(exchange_of(notes.data(), first_slot_, arrivals_.notes.data(),
                                  arrivals_.first_slot, sizeof(SlotNote)));
  arrivals_.first_token = {0};
  for (size_t source = 0; source + 1 < arrivals_.first_slot.size(); ++source) {
    int32_t num_tokens = 0;  // numbered as they first occur
    for (int64_t s = arrivals_.first_slot[source]; s < arrivals_.first_slot[source + 1]; ++s)
      num_tokens = std::max(num_tokens, arrivals_.notes[static_cast<size_t>(s)].token + 1);
    arrivals_.first_token.push_back(arrivals_.first_token.back() + num_tokens);
  }
}

std::vector<SlotNote> ExpertExchange::outgoing_notes(const at::Tensor& weight_TK) const {
  const float* weight = weight_TK.const_data_ptr<float>();
  std::vector<SlotNote> notes;
  notes.reserve(slot_of_place_.size());
  for (size_t i = 0; i < slot_of_place_.size(); ++i) {
    notes.push_back({static_cast<int32_t>(token_note_[i]), weight[slot_of_place_[i]]});
  }
  return notes;
}

ExpertExchange::Sending ExpertExchange::start_sending(const at::Tensor& rows_TD) {
  Sending rows;
  rows.sent = rows_TD.index_select(0, tokens_);
  rows.received = at::empty({arrivals_.first_token.back(), rows_TD.size(1)}, rows_TD.options());
  rows.under_way = group_.start_all_to_all_v(
      exchange_of(rows.sent.const_data_ptr(), first_token_, rows.received.mutable_data_ptr(),
                  arrivals_.first_token, row_bytes(rows_TD)));
  return rows;
}

const at::Tensor& ExpertExchange::tokens() {
  if (tokens_under_way_.under_way != nullptr) {
    tokens_under_way_.under_way->wait();
    tokens_under_way_.under_way.reset();
    tokens_under_way_.sent.reset();
  }
  return tokens_under_way_.received;
}

at::Tensor ExpertExchange::send_tokens(const at::Tensor& rows_TD) {
  const Sending rows = start_sending(rows_TD);
  rows.under_way->wait();
  return rows.received;
}

at::Tensor ExpertExchange::return_rows(const at::Tensor& rows_SD) {
  auto received = at::empty({first_slot_.back(), rows_SD.size(1)}, rows_SD.options());
  group_.all_to_all_v(exchange_of(rows_SD.const_data_ptr(), arrivals_.first_slot,
                                  received.mutable_data_ptr(), first_slot_, row_bytes(rows_SD)));
  return received;
}

at::Tensor ExpertExchange::return_numbers(const at::Tensor& numbers_S) {
  const auto in_order_of_sending = return_rows(numbers_S.unsqueeze(1)).flatten();
  return in_order_of_sending.index_select(0, place_of_slot_).view({num_tokens_, top_k_});
}

}  // namespace polygraft::model
