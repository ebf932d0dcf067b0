// model/architecture/device_experts.cpp: see device_experts.h.
#include "model/architecture/device_experts.h"

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/device_views.h"
#include "model/architecture/grouped_products.h"

namespace polygraft::model {
namespace {

using device::Lanes;

/// @throws ConfigError for more than LibTorch's grouped products take.
void require_groups(int64_t count, const char* what) {
  constexpr int64_t kMost = 1023;
  if (count <= kMost) return;
  throw ConfigError("model", "its experts do not suit the grouped products of a GPU")
      .expected(concat("at most ", kMost, " ", what))
      .found(concat(count));
}

/// A call's sizes, and where its new tensors are made.
class Sizes {
 public:
  Sizes(const DeviceExperts& experts, const DeviceSlots& slots)
      : num_rows(slots.expert_TK.numel()),
        model_width(slots.x_TD.size(1)),
        expert_width(experts.down_NDF.size(2)),
        num_added(experts.num_added),
        num_experts(experts.num_experts()),
        top_k(slots.expert_TK.size(1)),
        options_(slots.x_TD.options()) {
    check();
  }

  const int64_t num_rows, model_width, expert_width, num_added, num_experts, top_k;

  int64_t model_lanes() const { return model_width / device::kLanes; }
  int64_t expert_lanes() const { return expert_width / device::kLanes; }
  device::Groups groups() const {
    return {static_cast<int32_t>(num_experts - num_added), static_cast<int32_t>(num_added)};
  }
  at::Tensor empty(at::IntArrayRef shape, at::ScalarType dtype) const {
    return at::empty(shape, options_.dtype(dtype));
  }

 private:
  void check() const {
    if (model_width % device::kLanes != 0 || expert_width % device::kLanes != 0) {
      throw ConfigError("model", "its widths do not suit the device kernels")
          .expected(concat("multiples of ", device::kLanes))
          .found(concat("hidden size ", model_width, ", expert width ", expert_width));
    }
    require_groups(num_experts, "experts");
  }

  at::TensorOptions options_;
};

DeviceSortedSlots sort(device::Executor& executor, const Sizes& sizes, const DeviceSlots& slots) {
  auto sorted = sort_slots_on_device(executor, slots.expert_TK, sizes.groups(), sizes.top_k);
  if (slots.row_of_x.defined())
    sorted.token_of_row = slots.row_of_x.index_select(0, sorted.slot_of_row);
  return sorted;
}

/// @param num_wanted int32 [1]: the first so many rows; undefined: all.
at::Tensor gather(device::Executor& executor, const Sizes& sizes, const DeviceExpertsSaved& saved,
                  const at::Tensor& from_TD, const at::Tensor& num_wanted) {
  auto to_RD = sizes.empty({sizes.num_rows, sizes.model_width}, at::kBFloat16);
  executor.run(device::GatherRows{
      device_view<const Lanes>(from_TD), device_view<const int32_t>(saved.sorted.token_of_row),
      device_view<const int32_t>(num_wanted), device_view<Lanes>(to_RD), sizes.model_lanes()});
  return to_RD;
}

/// Of the first `count` experts.
GroupEnds ends_of(const DeviceExpertsSaved& saved, int64_t count) {
  const at::Tensor& on_cpu = saved.first_row_on_cpu;
  return {saved.sorted.first_row.narrow(0, 1, count),
          on_cpu.defined() ? on_cpu.narrow(0, 1, count) : on_cpu};
}

/// Of all rows, as the backward goes down.
struct RowGradients {
  at::Tensor d_out_RD, d_gate_up_RG, weighted_h_RF, d_weight_TK;
};

/// All but d_out_RD, from that. @param num_weighted experts, the first ones, of whose rows
/// weighted_h_RF is wanted.
void differentiate_swiglu(device::Executor& executor, const Sizes& sizes,
                          const at::Tensor& down_NDF, const DeviceSlots& slots,
                          const DeviceExpertsSaved& saved, int64_t num_weighted,
                          RowGradients& rows) {
  const auto product_RF =
      grouped_product(rows.d_out_RD, down_NDF, ends_of(saved, sizes.num_experts));
  rows.d_gate_up_RG = at::empty_like(saved.gate_up_RG);
  rows.weighted_h_RF =
      sizes.empty({num_weighted > 0 ? sizes.num_rows : 0, sizes.expert_width}, at::kBFloat16);
  rows.d_weight_TK = at::empty_like(slots.weight_TK);
  executor.run(device::SwiGluBackward{
      device_view<const Lanes>(saved.gate_up_RG), device_view<const Lanes>(product_RF),
      device_view<const int32_t>(saved.sorted.slot_of_row),
      device_view<const float>(slots.weight_TK),
      device_view<const int32_t>(saved.sorted.first_row.narrow(0, num_weighted, 1)),
      device_view<Lanes>(rows.d_gate_up_RG), device_view<Lanes>(rows.weighted_h_RF),
      device_view<float>(rows.d_weight_TK), sizes.expert_lanes()});
}

/// Of the added experts' matrices. Their rows come first, so that no other row is touched.
void differentiate_added(device::Executor& executor, const Sizes& sizes, const at::Tensor& x_TD,
                         const DeviceExpertsSaved& saved, const RowGradients& rows,
                         const GroupEnds& ends, DeviceExpertsGradients& gradients) {
  const auto x_RD =
      gather(executor, sizes, saved, x_TD, saved.sorted.first_row.narrow(0, sizes.num_added, 1));
  gradients.d_gate_up_added_nGD = grouped_outer_sum(rows.d_gate_up_RG, x_RD, ends);
  gradients.d_down_added_nDF = grouped_outer_sum(rows.d_out_RD, rows.weighted_h_RF, ends);
}

}  // namespace

at::Tensor experts_on_device(device::Executor& executor, const DeviceExperts& experts,
                             const DeviceSlots& slots, DeviceExpertsSaved& saved) {
  const Sizes sizes(experts, slots);
  saved = {};
  saved.sorted = sort(executor, sizes, slots);
  if (!executor.has_grouped_products()) saved.first_row_on_cpu = saved.sorted.first_row.cpu();
  const auto ends = ends_of(saved, sizes.num_experts);
  saved.gate_up_RG = grouped_product(gather(executor, sizes, saved, slots.x_TD, {}),
                                     experts.gate_up_NGD.transpose(1, 2), ends);
  const auto h_RF = sizes.empty({sizes.num_rows, sizes.expert_width}, at::kBFloat16);
  executor.run(device::SwiGlu{device_view<const Lanes>(saved.gate_up_RG), device_view<Lanes>(h_RF),
                              sizes.expert_lanes()});
  const auto y_RD = grouped_product(h_RF, experts.down_NDF.transpose(1, 2), ends);
  return sum_slots_on_device(executor, y_RD, saved.sorted.row_of_slot, slots.weight_TK,
                             sizes.top_k);
}

DeviceExpertsGradients experts_backward_on_device(
    device::Executor& executor, const DeviceExperts& experts, const DeviceSlots& slots,
    const DeviceExpertsSaved& saved, const at::Tensor& d_y_TD, const MatrixGradients& matrices) {
  const Sizes sizes(experts, slots);
  const bool trains = matrices.wanted && sizes.num_added > 0;
  RowGradients rows;
  DeviceExpertsGradients gradients;
  rows.d_out_RD = gather(executor, sizes, saved, d_y_TD.contiguous(), {});
  differentiate_swiglu(executor, sizes, experts.down_NDF, slots, saved,
                       trains ? sizes.num_added : 0, rows);
  gradients.d_weight_TK = rows.d_weight_TK;
  // No product over all rows outlives its use: some of them at once are what the layer's peak is.
  gradients.d_x_TD = sum_slots_on_device(
      executor,
      grouped_product(rows.d_gate_up_RG, experts.gate_up_NGD, ends_of(saved, sizes.num_experts)),
      saved.sorted.row_of_slot, {}, sizes.top_k);
  if (!trains) return gradients;
  GroupEnds sums = ends_of(saved, sizes.num_added);
  if (matrices.ends.defined()) {
    sums = {matrices.ends, sums.on_cpu.defined() ? matrices.ends.cpu() : at::Tensor()};
  }
  require_groups(sums.on_device.numel(), "added experts times ranks that share them out");
  differentiate_added(executor, sizes, slots.x_TD, saved, rows, sums, gradients);
  return gradients;
}

at::Tensor sum_slots_on_device(device::Executor& executor, const at::Tensor& rows_RD,
                               const at::Tensor& row_of_slot, const at::Tensor& weight_TK,
                               int64_t top_k) {
  const int64_t width = rows_RD.size(1);
  auto out_TD = at::empty({row_of_slot.numel() / top_k, width}, rows_RD.options());
  executor.run(device::SumSlots{device_view<const Lanes>(rows_RD),
                                device_view<const int32_t>(row_of_slot),
                                device_view<const float>(weight_TK), device_view<Lanes>(out_TD),
                                width / device::kLanes, static_cast<int32_t>(top_k)});
  return out_TD;
}

}  // namespace polygraft::model
