// model/kernels/softmax_row.h: what softmax, cross-entropy and KL need of a stretch of logits, once
// for every instruction set; body.h says under which rules. Sums run over blocks in 16 interleaved
// float32 parts, and over blocks in float64, so that a vocabulary's size costs no accuracy.
#pragma once
#include <limits>

#include "model/kernels/elementwise.h"

namespace polygraft::kernels {

template <class I>
struct SoftmaxRow {
  using Reg = typename I::Reg;
  using Each = Elementwise<I>;
  static constexpr int kRegs = kSumParts / I::kLanes;
  static constexpr int64_t kSumBlock = 2048;  // a multiple of kSumParts

  /// NaN is skipped: sums of what it is subtracted from keep it.
  static float maximum(const float* x, int64_t count) {
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    Reg most = I::set(kLowest);
    int64_t i = 0;
    for (; i + I::kLanes <= count; i += I::kLanes) most = I::at_least(I::load(x + i), most);
    float lanes[I::kLanes], largest = kLowest;
    I::store(lanes, most);
    for (const float lane : lanes) largest = lane > largest ? lane : largest;
    for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
  }

  /// The first `count` lanes; zero behind them.
  static Reg first_lanes(Reg value, int64_t count) {
    if (count >= I::kLanes) return value;
    float lanes[I::kLanes];
    I::store(lanes, value);
    return Each::load_some(lanes, count);
  }

  static double exp_sum(const float* x, int64_t count, float shift, float* out) {
    const Reg shifts = I::set(shift);
    double sum = 0;
    for (int64_t block = 0; block < count; block += kSumBlock) {
      const int64_t end = block + kSumBlock < count ? block + kSumBlock : count;
      Reg parts[kRegs];
      for (Reg& part : parts) part = I::zero();
      for (int64_t i = block; i < end; i += I::kLanes) {
        const Reg shifted = I::subtract(Each::load_some(x + i, end - i), shifts);
        const Reg value = first_lanes(Each::exp(shifted), end - i);
        Reg& part = parts[i / I::kLanes % kRegs];
        part = I::add(part, value);
        if (out != nullptr) Each::store_some(out + i, end - i, value);
      }
      sum += Each::sum_parts(parts);
    }
    return sum;
  }

  static ExpDifference exp_difference(float* x, const float* y, int64_t count, float shift) {
    const Reg shifts = I::set(shift);
    ExpDifference sums;
    for (int64_t block = 0; block < count; block += kSumBlock) {
      const int64_t end = block + kSumBlock < count ? block + kSumBlock : count;
      Reg exps[kRegs], products[kRegs];
      for (int v = 0; v < kRegs; ++v) exps[v] = products[v] = I::zero();
      for (int64_t i = block; i < end; i += I::kLanes) {
        const Reg here = Each::load_some(x + i, end - i);
        const Reg value = first_lanes(Each::exp(I::subtract(here, shifts)), end - i);
        const Reg difference = I::subtract(here, Each::load_some(y + i, end - i));
        const int64_t v = i / I::kLanes % kRegs;
        exps[v] = I::add(exps[v], value);
        products[v] = I::multiply_add(value, difference, products[v]);
        Each::store_some(x + i, end - i, value);
      }
      sums.exp_sum += Each::sum_parts(exps);
      sums.weighted += Each::sum_parts(products);
    }
    return sums;
  }

  /// Both products are rounded before they are subtracted: what is equal gives zero.
  static void scale_subtract(float* x, float scale_x, const float* y, float scale_y,
                             int64_t count) {
    const Reg of_x = I::set(scale_x), of_y = I::set(scale_y);
    for (int64_t i = 0; i < count; i += I::kLanes) {
      Reg value = I::multiply(Each::load_some(x + i, count - i), of_x);
      if (y != nullptr) {
        value = I::subtract(value, I::multiply(Each::load_some(y + i, count - i), of_y));
      }
      Each::store_some(x + i, count - i, value);
    }
  }

  static void softmax_gradient(float* x, const float* p, float shift, int64_t count) {
    const Reg shifts = I::set(shift);
    for (int64_t i = 0; i < count; i += I::kLanes) {
      const Reg shifted = I::subtract(Each::load_some(x + i, count - i), shifts);
      Each::store_some(x + i, count - i, I::multiply(Each::load_some(p + i, count - i), shifted));
    }
  }
};

}  // namespace polygraft::kernels
