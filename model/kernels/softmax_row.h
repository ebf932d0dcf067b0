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
  static constexpr int kRegs = Each::kRegs;
  static constexpr int64_t kSumBlock = 2048;  // a multiple of kSumParts

  /// NaN is skipped: sums of what it is subtracted from keep it.
  static float maximum(const float* x, int64_t count) {
    constexpr float kLowest = -std::numeric_limits<float>::infinity();
    constexpr int kStreams = 4;  // a comparison takes as many cycles
    Reg most[kStreams];
    for (Reg& stream : most) stream = I::set(kLowest);
    int64_t i = 0;
    for (; i + kStreams * I::kLanes <= count; i += kStreams * I::kLanes) {
      for (int s = 0; s < kStreams; ++s) {
        most[s] = I::at_least(I::load(x + i + s * I::kLanes), most[s]);
      }
    }
    for (; i + I::kLanes <= count; i += I::kLanes) most[0] = I::at_least(I::load(x + i), most[0]);
    for (int s = 1; s < kStreams; ++s) most[0] = I::at_least(most[s], most[0]);
    float lanes[I::kLanes], largest = kLowest;
    I::store(lanes, most[0]);
    for (const float lane : lanes) largest = lane > largest ? lane : largest;
    for (; i < count; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
  }

  /// Zero behind the first `count` lanes.
  static Reg first_lanes(Reg value, int64_t count) {
    return count >= I::kLanes ? value : I::first(value, count);
  }

  static double exp_sum(const float* x, int64_t count, float shift, float* out) {
    const Reg shifts = I::set(shift);
    double sum = 0;
    for (int64_t block = 0; block < count; block += kSumBlock) {
      const int64_t size = block + kSumBlock < count ? kSumBlock : count - block;
      Reg parts[kRegs];
      for (Reg& part : parts) part = I::zero();
      Each::for_vectors(size, [&](int64_t i, int64_t left, int v) {
        const Reg shifted = I::subtract(Each::load_some(x + block + i, left), shifts);
        const Reg value = first_lanes(Each::exp(shifted), left);
        parts[v] = I::add(parts[v], value);
        if (out != nullptr) Each::store_some(out + block + i, left, value);
      });
      sum += Each::sum_parts(parts);
    }
    return sum;
  }

  static ExpDifference exp_difference(float* x, const float* y, int64_t count, float shift) {
    const Reg shifts = I::set(shift);
    ExpDifference sums;
    for (int64_t block = 0; block < count; block += kSumBlock) {
      const int64_t size = block + kSumBlock < count ? kSumBlock : count - block;
      Reg exps[kRegs], products[kRegs];
      for (int v = 0; v < kRegs; ++v) exps[v] = products[v] = I::zero();
      Each::for_vectors(size, [&](int64_t i, int64_t left, int v) {
        float* place = x + block + i;
        const Reg here = Each::load_some(place, left);
        const Reg value = first_lanes(Each::exp(I::subtract(here, shifts)), left);
        const Reg difference = I::subtract(here, Each::load_some(y + block + i, left));
        exps[v] = I::add(exps[v], value);
        products[v] = I::multiply_add(value, difference, products[v]);
        Each::store_some(place, left, value);
      });
      sums.exp_sum += Each::sum_parts(exps);
      sums.weighted += Each::sum_parts(products);
    }
    return sums;
  }

  /// Both products are rounded before they are subtracted: what is equal gives zero.
  static void scale_subtract(float* x, float scale_x, const float* y, float scale_y,
                             int64_t count) {
    const Reg of_x = I::set(scale_x), of_y = I::set(scale_y);
    Each::for_vectors(count, [&](int64_t i, int64_t left, int) {
      Reg value = I::multiply(Each::load_some(x + i, left), of_x);
      if (y != nullptr) value = I::subtract(value, I::multiply(Each::load_some(y + i, left), of_y));
      Each::store_some(x + i, left, value);
    });
  }

  static void softmax_gradient(float* x, const float* p, float shift, int64_t count) {
    const Reg shifts = I::set(shift);
    Each::for_vectors(count, [&](int64_t i, int64_t left, int) {
      const Reg shifted = I::subtract(Each::load_some(x + i, left), shifts);
      Each::store_some(x + i, left, I::multiply(Each::load_some(p + i, left), shifted));
    });
  }
};

}  // namespace polygraft::kernels
