// expand/expert_clones.cpp: clone and redraw.
#include "expand/expert_clones.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <vector>

namespace polygraft::expand {

namespace {

/// Units to redraw, ascending.
using Units = std::vector<int64_t>;

Units draw_units(int64_t num_units, int64_t width, RandomStream& stream) {
  Units units = stream.permutation(width);
  units.resize(static_cast<size_t>(num_units));
  std::sort(units.begin(), units.end());
  return units;
}

/// Mean and standard deviation of numbers that come in spans; several sums side by side, so that
/// compilers can take several numbers at once.
class Moments {
 public:
  void add(std::span<const float> values) {
    size_t i = 0;
    for (; i + kLanes <= values.size(); i += kLanes) {
      for (size_t lane = 0; lane < kLanes; ++lane) add(values[i + lane], lane);
    }
    for (size_t lane = 0; i < values.size(); ++i, ++lane) add(values[i], lane);
    count_ += static_cast<double>(values.size());
  }
  double mean() const { return total(sums_) / count_; }
  double deviation() const {
    return std::sqrt(std::max(total(squares_) / count_ - mean() * mean(), 0.0));
  }

 private:
  static constexpr size_t kLanes = 16;
  using Sums = std::array<double, kLanes>;

  void add(float value, size_t lane) {
    sums_[lane] += double{value};
    squares_[lane] += double{value} * double{value};
  }
  static double total(const Sums& sums) {
    double total = 0;
    for (const double sum : sums) total += sum;
    return total;
  }

  Sums sums_{}, squares_{};
  double count_ = 0;
};

std::span<float> row_of(const at::Tensor& matrix, int64_t row) {
  const int64_t width = matrix.size(1);
  return {matrix.mutable_data_ptr<float>() + row * width, static_cast<size_t>(width)};
}

void fill_like(std::span<float> values, const Moments& moments, RandomStream& stream) {
  stream.fill_normal(values, static_cast<float>(moments.mean()),
                     static_cast<float>(moments.deviation()));
}

at::Tensor as_index(const Units& units) { return at::tensor(units, at::kLong); }

/// Rows `first` + unit of `clone`, from the statistics of the donor's.
void redraw_rows(const at::Tensor& donor, const at::Tensor& clone, int64_t first,
                 const Units& units, RandomStream& stream) {
  Moments moments;
  for (const int64_t unit : units) moments.add(row_of(donor, first + unit));
  const auto num_units = static_cast<int64_t>(units.size());
  const at::Tensor drawn = at::empty({num_units, donor.size(1)}, at::kFloat);
  for (int64_t i = 0; i < num_units; ++i) fill_like(row_of(drawn, i), moments, stream);
  clone.narrow(0, first, clone.size(0) - first)
      .index_copy_(0, as_index(units), drawn.to(clone.scalar_type()));
}

void redraw_columns(const at::Tensor& donor, const at::Tensor& clone, const Units& units,
                    RandomStream& stream) {
  Moments moments;
  std::vector<float> entries(units.size());  // of one row
  for (int64_t row = 0; row < donor.size(0); ++row) {
    const std::span<const float> from = row_of(donor, row);
    for (size_t i = 0; i < units.size(); ++i) entries[i] = from[static_cast<size_t>(units[i])];
    moments.add(entries);
  }
  const auto num_units = static_cast<int64_t>(units.size());
  const at::Tensor drawn = at::empty({donor.size(0), num_units}, at::kFloat);
  for (int64_t row = 0; row < donor.size(0); ++row) fill_like(row_of(drawn, row), moments, stream);
  clone.index_copy_(1, as_index(units), drawn.to(clone.scalar_type()));
}

}  // namespace

Expert clone_rounded(const Expert& donor, const Expert& rounded, double reinit_ratio,
                     RandomStream stream) {
  const at::NoGradGuard no_grad;
  Expert clone{rounded.gate_up_GD.clone(), rounded.down_DF.clone()};
  const int64_t width = donor.down_DF.size(1);
  const int64_t num_units = std::llround(reinit_ratio * static_cast<double>(width));
  if (num_units == 0) return clone;
  const Units units = draw_units(num_units, width, stream);
  redraw_rows(donor.gate_up_GD, clone.gate_up_GD, 0, units, stream);
  redraw_rows(donor.gate_up_GD, clone.gate_up_GD, width, units, stream);
  redraw_columns(donor.down_DF, clone.down_DF, units, stream);
  return clone;
}

Expert clone_expert(const Expert& donor, double reinit_ratio, RandomStream stream) {
  const Expert exact{donor.gate_up_GD.to(at::kFloat).contiguous(),
                     donor.down_DF.to(at::kFloat).contiguous()};
  return clone_rounded(exact, exact, reinit_ratio, stream);
}

}  // namespace polygraft::expand
