// expand/expert_clones.cpp: clone and redraw.
#include "expand/expert_clones.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace polygraft::expand {

namespace {

/// Units to redraw, ascending.
at::Tensor draw_units(int64_t num_units, int64_t width, RandomStream& stream) {
  std::vector<int64_t> units = stream.permutation(width);
  units.resize(static_cast<size_t>(num_units));
  std::sort(units.begin(), units.end());
  return at::tensor(units, at::kLong);
}

/// Numbers in `dropped`'s shape from the normal distribution with its mean and standard deviation.
at::Tensor redraw(const at::Tensor& dropped, RandomStream& stream) {
  const at::Tensor values = dropped.to(at::kDouble);
  const double mean = values.mean().item<double>();
  const double deviation = values.std(/*unbiased=*/false).item<double>();
  at::Tensor drawn = at::empty(dropped.sizes(), at::kFloat);
  stream.fill_normal({drawn.mutable_data_ptr<float>(), static_cast<size_t>(drawn.numel())}, mean,
                     deviation);
  return drawn;
}

void redraw_rows(at::Tensor matrix_FD, const at::Tensor& units, RandomStream& stream) {
  matrix_FD.index_copy_(0, units, redraw(matrix_FD.index_select(0, units), stream));
}

}  // namespace

Expert clone_expert(const Expert& donor, double reinit_ratio, RandomStream stream) {
  const at::NoGradGuard no_grad;
  Expert clone{donor.gate_up_GD.to(at::kFloat, false, /*copy=*/true).contiguous(),
               donor.down_DF.to(at::kFloat, false, /*copy=*/true).contiguous()};
  const int64_t width = clone.down_DF.size(1);
  const int64_t num_units = std::llround(reinit_ratio * static_cast<double>(width));
  if (num_units == 0) return clone;
  const at::Tensor units = draw_units(num_units, width, stream);
  redraw_rows(clone.gate_up_GD.narrow(0, 0, width), units, stream);
  redraw_rows(clone.gate_up_GD.narrow(0, width, width), units, stream);
  clone.down_DF.index_copy_(1, units, redraw(clone.down_DF.index_select(1, units), stream));
  return clone;
}

}  // namespace polygraft::expand
