// model/architecture/exchange_plan.cpp: see exchange_plan.h.
#include "model/architecture/exchange_plan.h"

#include <algorithm>
#include <numeric>

namespace polygraft::model {
namespace {

using parallel::Communicator;

/// What each rank says of itself: its rows of every expert, and whether it wants the gradient of
/// its tokens.
class SaidCounts {
 public:
  SaidCounts(Communicator& group, int64_t num_experts, const SortedSlots& slots, bool wants_d_x)
      : num_experts_(static_cast<size_t>(num_experts)),
        all_(static_cast<size_t>(group.size()) * (num_experts_ + 1)) {
    std::vector<int64_t> own;
    for (size_t e = 0; e < num_experts_; ++e)
      own.push_back(slots.first_row[e + 1] - slots.first_row[e]);
    own.push_back(wants_d_x ? 1 : 0);
    group.all_gather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all_)));
  }

  int64_t rows(size_t source, int64_t expert) const {
    return all_[source * (num_experts_ + 1) + static_cast<size_t>(expert)];
  }
  bool wants_d_x(size_t source) const {
    return rows(source, static_cast<int64_t>(num_experts_)) != 0;
  }
  std::vector<int64_t> rows_of_all(size_t num_ranks) const {
    std::vector<int64_t> sums(num_experts_, 0);
    for (size_t source = 0; source < num_ranks; ++source) {
      for (size_t e = 0; e < num_experts_; ++e) sums[e] += rows(source, static_cast<int64_t>(e));
    }
    return sums;
  }

 private:
  size_t num_experts_;
  std::vector<int64_t> all_;
};

/// Fills in what is sent.
void plan_sending(const ExpertDeal& deal, const SortedSlots& slots, const at::Tensor& weight_TK,
                  ExchangePlan& plan) {
  const int64_t num_slots = slots.first_row.back();
  const int64_t* token_of_row = slots.token_of_row.const_data_ptr<int64_t>();
  const int64_t* slot_of_row = slots.slot_of_row.const_data_ptr<int64_t>();
  const float* weight = weight_TK.const_data_ptr<float>();
  plan.place_of_slot = at::empty({num_slots}, at::kLong);
  plan.notes = at::empty({num_slots}, at::kLong);
  auto* place_of_slot = plan.place_of_slot.mutable_data_ptr<int64_t>();
  auto* notes = static_cast<device::SlotNote*>(plan.notes.mutable_data_ptr());
  std::vector<int64_t> tokens, place_of_token(static_cast<size_t>(weight_TK.size(0)));
  int64_t num_sent = 0;
  for (int rank = 0; rank < deal.num_ranks(); ++rank) {
    plan.first_slot.push_back(num_sent);
    plan.first_token.push_back(static_cast<int64_t>(tokens.size()));
    std::fill(place_of_token.begin(), place_of_token.end(), -1);
    for (const int64_t e : deal.experts_of(rank)) {
      for (int64_t row = slots.first_row[e]; row < slots.first_row[e + 1]; ++row) {
        int64_t& place = place_of_token[static_cast<size_t>(token_of_row[row])];
        if (place < 0) {
          place = static_cast<int64_t>(tokens.size()) - plan.first_token.back();
          tokens.push_back(token_of_row[row]);
        }
        const int64_t slot = slot_of_row[row];
        place_of_slot[slot] = num_sent;
        notes[num_sent++] = {static_cast<int32_t>(place), weight[slot]};
      }
    }
  }
  plan.first_slot.push_back(num_sent);
  plan.first_token.push_back(static_cast<int64_t>(tokens.size()));
  plan.token_of_sent = at::tensor(tokens, at::kLong);
}

/// @return by source: how many tokens come from it.
std::vector<int64_t> tell_tokens(Communicator& group, const std::vector<int64_t>& first_token) {
  std::vector<int64_t> going(first_token.size() - 1), coming(going.size());
  parallel::Exchange exchange;
  for (size_t r = 0; r < going.size(); ++r) {
    going[r] = first_token[r + 1] - first_token[r];
    exchange.send.push_back(std::as_bytes(std::span(&going[r], 1)));
    exchange.receive.push_back(std::as_writable_bytes(std::span(&coming[r], 1)));
  }
  group.all_to_all_v(exchange);
  return coming;
}

}  // namespace

void Arrivals::add_source(std::vector<int64_t> rows, int64_t num_tokens, bool wants_d_x) {
  first_slot.push_back(std::accumulate(rows.begin(), rows.end(), first_slot.back()));
  first_token.push_back(first_token.back() + num_tokens);
  rows_of_expert.push_back(std::move(rows));
  any_wants_d_x = any_wants_d_x || wants_d_x;
}

ExchangePlan plan_exchange(Communicator& group, const DealtExperts& experts,
                           const SortedSlots& slots, const at::Tensor& weight_TK, bool wants_d_x) {
  const SaidCounts said(group, experts.size(), slots, wants_d_x);
  const auto num_ranks = static_cast<size_t>(group.size());
  const ExpertDeal deal(experts, said.rows_of_all(num_ranks), group.size());
  ExchangePlan plan;
  plan.own_experts = deal.experts_of(group.rank());
  plan_sending(deal, slots, weight_TK, plan);
  const std::vector<int64_t> num_tokens = tell_tokens(group, plan.first_token);
  for (size_t source = 0; source < num_ranks; ++source) {
    std::vector<int64_t> rows;
    for (const int64_t e : plan.own_experts) rows.push_back(said.rows(source, e));
    plan.arrivals.add_source(std::move(rows), num_tokens[source], said.wants_d_x(source));
  }
  return plan;
}

}  // namespace polygraft::model
