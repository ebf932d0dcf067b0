// model/architecture/grouped_products.cpp: see grouped_products.h.
#include "model/architecture/grouped_products.h"

namespace polygraft::model {
namespace {

/// Calls `with(group, first row, number of rows)` for every group that has rows.
template <class With>
void for_groups(const at::Tensor& ends_on_cpu, const With& with) {
  const int32_t* end = ends_on_cpu.const_data_ptr<int32_t>();
  int64_t first = 0;
  for (int64_t group = 0; group < ends_on_cpu.numel(); ++group) {
    if (end[group] > first) with(group, first, end[group] - first);
    first = end[group];
  }
}

}  // namespace

at::Tensor grouped_product(const at::Tensor& rows_RK, const at::Tensor& matrices_NKM,
                           const GroupEnds& ends) {
  if (!ends.on_cpu.defined()) return at::_grouped_mm(rows_RK, matrices_NKM, ends.on_device);
  auto out_RM = at::empty({rows_RK.size(0), matrices_NKM.size(2)}, rows_RK.options());
  for_groups(ends.on_cpu, [&](int64_t group, int64_t first, int64_t count) {
    auto out = out_RM.narrow(0, first, count);
    at::mm_out(out, rows_RK.narrow(0, first, count), matrices_NKM.select(0, group));
  });
  return out_RM;
}

at::Tensor grouped_outer_sum(const at::Tensor& left_RK, const at::Tensor& right_RM,
                             const GroupEnds& ends) {
  if (!ends.on_cpu.defined()) return at::_grouped_mm(left_RK.t(), right_RM, ends.on_device);
  auto sums_NKM =
      at::zeros({ends.on_cpu.numel(), left_RK.size(1), right_RM.size(1)}, left_RK.options());
  for_groups(ends.on_cpu, [&](int64_t group, int64_t first, int64_t count) {
    auto out = sums_NKM.select(0, group);
    at::mm_out(out, left_RK.narrow(0, first, count).t(), right_RM.narrow(0, first, count));
  });
  return sums_NKM;
}

}  // namespace polygraft::model
