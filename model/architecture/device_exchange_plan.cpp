// model/architecture/device_exchange_plan.cpp: see device_exchange_plan.h.
#include "model/architecture/device_exchange_plan.h"

#include "model/architecture/device_sort.h"
#include "model/architecture/device_views.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

using parallel::Communicator;

template <class Value>
at::Tensor sent_values(at::Device device, const std::vector<Value>& values) {
  return sent_to(device, at::tensor(values, c10::CppTypeToScalarType<Value>::value));
}

/// Experts in the order of sending, as groups: rank after rank, each one's base experts first.
class SendingOrder {
 public:
  SendingOrder(const ExpertDeal& deal, int64_t num_experts)
      : group_of_expert_(static_cast<size_t>(num_experts)) {
    for (int rank = 0; rank < deal.num_ranks(); ++rank) {
      first_group_.push_back(num_groups());
      for (const int64_t expert : deal.experts_of(rank)) {
        group_of_expert_[static_cast<size_t>(expert)] = static_cast<int32_t>(num_groups());
        rank_of_group_.push_back(rank);
      }
    }
    first_group_.push_back(num_groups());
  }

  int64_t num_groups() const { return std::ssize(rank_of_group_); }
  /// Where a rank's groups begin; of the rank behind the last: their number.
  int64_t first_group(int rank) const { return first_group_[static_cast<size_t>(rank)]; }
  const std::vector<int32_t>& group_of_expert() const { return group_of_expert_; }
  const std::vector<int32_t>& rank_of_group() const { return rank_of_group_; }

 private:
  std::vector<int64_t> first_group_;
  std::vector<int32_t> group_of_expert_, rank_of_group_;
};

/// What each rank says of itself: where its rows of every group and its tokens for every rank
/// begin, and whether it wants the gradient of its tokens.
class SaidFirsts {
 public:
  /// Waits for the GPU.
  SaidFirsts(Communicator& group, int64_t num_groups, const at::Tensor& first_row,
             const at::Tensor& first_token, bool wants_d_x)
      : first_token_at_(num_groups + 1) {
    const auto own =
        at::cat({first_row, first_token, at::full({1}, wants_d_x ? 1 : 0, first_row.options())});
    const auto all = at::empty({group.size(), own.numel()}, own.options());
    group.all_gather({static_cast<const std::byte*>(own.const_data_ptr()), own.nbytes()},
                     {static_cast<std::byte*>(all.mutable_data_ptr()), all.nbytes()});
    all_ = all.cpu();
  }

  int64_t first_row(int64_t source, int64_t group) const { return at(source, group); }
  int64_t rows(int64_t source, int64_t group) const {
    return at(source, group + 1) - at(source, group);
  }
  int64_t first_token(int64_t source, int64_t rank) const {
    return at(source, first_token_at_ + rank);
  }
  bool wants_d_x(int64_t source) const { return at(source, all_.size(1) - 1) != 0; }

 private:
  int64_t at(int64_t source, int64_t i) const {
    return all_.const_data_ptr<int32_t>()[source * all_.size(1) + i];
  }

  int64_t first_token_at_;
  at::Tensor all_;  ///< int32 [ranks, ..], on the CPU
};

void fill_in_counts(const SendingOrder& order, const SaidFirsts& said, int own_rank, int num_ranks,
                    ExchangePlan& plan) {
  for (int rank = 0; rank <= num_ranks; ++rank) {
    plan.first_slot.push_back(said.first_row(own_rank, order.first_group(rank)));
    plan.first_token.push_back(said.first_token(own_rank, rank));
  }
  for (int source = 0; source < num_ranks; ++source) {
    std::vector<int64_t> rows;
    for (int64_t g = order.first_group(own_rank); g < order.first_group(own_rank + 1); ++g)
      rows.push_back(said.rows(source, g));
    plan.arrivals.add_source(
        std::move(rows),
        said.first_token(source, own_rank + 1) - said.first_token(source, own_rank),
        said.wants_d_x(source));
  }
}

/// This rank's slots, sorted, and its tokens, marked by rank.
struct MarkedSlots {
  at::Tensor group_R, rank_of_group;
  int64_t top_k;
  DeviceSortedSlots sorted;
  at::Tensor place_PT, first_token;

  device::RankedSlots ranked() const {
    return {device_view<const int32_t>(group_R), device_view<const int32_t>(rank_of_group),
            static_cast<int32_t>(top_k)};
  }
};

MarkedSlots mark_slots(device::Executor& executor, const SendingOrder& order,
                       const Routing& routing, int64_t num_ranks) {
  const at::Device device = routing.weight_TK.device();
  MarkedSlots slots{
      sent_values(device, order.group_of_expert()).index_select(0, routing.expert_TK.flatten()),
      sent_values(device, order.rank_of_group()), routing.weight_TK.size(1)};
  const device::Groups groups{static_cast<int32_t>(order.num_groups()), 0};
  slots.sorted = sort_slots_on_device(executor, slots.group_R, groups, slots.top_k);
  slots.place_PT = at::empty({num_ranks, routing.weight_TK.size(0)}, slots.group_R.options());
  executor.run(device::MarkTokens{slots.ranked(), device_view<int32_t>(slots.place_PT)});
  slots.first_token = firsts_of(executor, sums_before(executor, slots.place_PT).total);
  return slots;
}

/// What is sent. @param plan with its counts.
void write_notes(device::Executor& executor, const MarkedSlots& slots, const at::Tensor& weight_TK,
                 ExchangePlan& plan) {
  const auto options = slots.group_R.options();
  plan.place_of_slot = slots.sorted.row_of_slot;
  plan.notes = at::empty({weight_TK.numel()}, options.dtype(at::kLong));
  plan.token_of_sent = at::empty({plan.first_token.back()}, options);
  executor.run(device::WriteNotes{
      slots.ranked(), device_view<const float>(weight_TK),
      device_view<const int32_t>(plan.place_of_slot), device_view<const int32_t>(slots.place_PT),
      device_view<const int32_t>(slots.first_token), device_view<device::SlotNote>(plan.notes),
      device_view<int32_t>(plan.token_of_sent)});
}

}  // namespace

ExchangePlan plan_exchange_on_device(device::Executor& executor, Communicator& group,
                                     const DealtExperts& experts, const Routing& routing,
                                     bool wants_d_x) {
  TORCH_INTERNAL_ASSERT(experts.base_trains && experts.added_train, "experts must not move");
  const auto no_rows = std::vector<int64_t>(static_cast<size_t>(experts.size()), 0);
  const ExpertDeal deal(experts, no_rows, group.size());
  const SendingOrder order(deal, experts.size());
  const MarkedSlots slots = mark_slots(executor, order, routing, group.size());
  const SaidFirsts said(group, order.num_groups(), slots.sorted.first_row, slots.first_token,
                        wants_d_x);
  ExchangePlan plan;
  plan.own_experts = deal.experts_of(group.rank());
  fill_in_counts(order, said, group.rank(), group.size(), plan);
  write_notes(executor, slots, routing.weight_TK, plan);
  return plan;
}

CameSlots read_notes(device::Executor& executor, const Arrivals& arrivals,
                     const at::Tensor& notes) {
  std::vector<int32_t> first_slot;
  for (size_t source = 0; source < arrivals.rows_of_expert.size(); ++source) {
    int64_t first = arrivals.first_slot[source];
    for (const int64_t rows : arrivals.rows_of_expert[source]) {
      first_slot.push_back(static_cast<int32_t>(first));
      first += rows;
    }
  }
  const std::vector<int32_t> first_token(arrivals.first_token.begin(),
                                         arrivals.first_token.end() - 1);
  const auto first_slot_Pn = sent_values(notes.device(), first_slot);
  const auto first_token_P = sent_values(notes.device(), first_token);
  const int64_t num_slots = arrivals.num_slots();
  const auto options = first_token_P.options();
  CameSlots slots{at::empty({num_slots}, options), at::empty({num_slots, 1}, options),
                  at::empty({num_slots, 1}, options.dtype(at::kFloat))};
  executor.run(device::ReadNotes{
      device_view<const device::SlotNote>(notes), device_view<const int32_t>(first_slot_Pn),
      device_view<const int32_t>(first_token_P), device_view<int32_t>(slots.token_S),
      device_view<int32_t>(slots.expert_S1), device_view<float>(slots.weight_S1)});
  return slots;
}

}  // namespace polygraft::model
