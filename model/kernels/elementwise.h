// model/kernels/elementwise.h: SwiGLU and RMSNorm forward and backward, rotary embedding and
// weighted sums of rows, once for every instruction set; body.h says under which rules.
#pragma once
#include <cmath>
#include <cstdint>

#include "model/kernels/operations.h"

namespace polygraft::kernels {

constexpr int kSumParts = 16;  // interleaved sums of a dot product: the widest vector's lanes

template <class I>
struct Elementwise {
  using Reg = typename I::Reg;
  static constexpr int kRegs = kSumParts / I::kLanes;

  /// Loads up to kLanes values; lanes behind them are zero.
  static Reg load_some(const float* in, int64_t count) {
    return count >= I::kLanes ? I::load(in) : I::load_first(in, count);
  }
  static void store_some(float* out, int64_t count, Reg value) {
    if (count >= I::kLanes) return I::store(out, value);
    I::store_first(out, count, value);
  }

  /// each(i, how many values there are from i on, which of the interleaved sums) for one vector
  /// after the other: all but the last few are known to be whole and the sums to stay in registers.
  template <class F>
  static void for_vectors(int64_t count, F each) {
    int64_t i = 0;
    for (; i + kSumParts <= count; i += kSumParts) {
      for (int v = 0; v < kRegs; ++v) each(i + v * I::kLanes, int64_t{I::kLanes}, v);
    }
    for (int v = 0; i < count; i += I::kLanes, ++v) each(i, count - i, v);
  }

  /// exp(x) within 2 units in the last place (Cephes' polynomial) from -87, where it stops to fall,
  /// to 88.3, from where on it is infinite; NaN stays.
  static Reg exp(Reg x) {
    x = I::at_most(I::set(89.0F), I::at_least(I::set(-87.0F), x));
    const Reg n = I::nearest(I::multiply(x, I::set(1.44269504F)));
    Reg r = I::multiply_add(n, I::set(-0.693359375F), x);
    r = I::multiply_add(n, I::set(2.12194440e-4F), r);
    Reg p = I::set(1.9875691500e-4F);
    p = I::multiply_add(p, r, I::set(1.3981999507e-3F));
    p = I::multiply_add(p, r, I::set(8.3334519073e-3F));
    p = I::multiply_add(p, r, I::set(4.1665795894e-2F));
    p = I::multiply_add(p, r, I::set(1.6666665459e-1F));
    p = I::multiply_add(p, r, I::set(5.0000001201e-1F));
    p = I::multiply_add(p, I::multiply(r, r), I::add(r, I::set(1.0F)));
    return I::times_power_of_two(p, n);
  }

  static Reg sigmoid(Reg x) {
    const Reg one = I::set(1.0F);
    return I::divide(one, I::add(one, exp(I::subtract(I::zero(), x))));
  }

  static void swiglu(const float* gate, const float* up, int64_t width, float* h) {
    for_vectors(width, [&](int64_t i, int64_t count, int) {
      const Reg g = load_some(gate + i, count);
      const Reg silu = I::multiply(g, sigmoid(g));
      store_some(h + i, count, I::multiply(silu, load_some(up + i, count)));
    });
  }

  static float swiglu_backward(const SwigluBackward& row) {
    Reg dot[kRegs];
    for (Reg& part : dot) part = I::zero();
    const Reg weight = I::set(row.weight), one = I::set(1.0F);
    for_vectors(row.width, [&](int64_t i, int64_t count, int v) {
      const Reg g = load_some(row.gate + i, count), u = load_some(row.up + i, count);
      const Reg p = load_some(row.d_h + i, count);
      const Reg s = sigmoid(g), silu = I::multiply(g, s), h = I::multiply(silu, u);
      dot[v] = I::multiply_add(p, h, dot[v]);
      const Reg d_h = I::multiply(weight, p);
      // d silu / d g = s (1 + g (1 - s))
      const Reg slope = I::multiply(s, I::multiply_add(g, I::subtract(one, s), one));
      store_some(row.d_up + i, count, I::multiply(d_h, silu));
      store_some(row.d_gate + i, count, I::multiply(I::multiply(d_h, u), slope));
      if (row.weighted_h != nullptr) {
        store_some(row.weighted_h + i, count, I::multiply(weight, h));
      }
    });
    return sum_parts(dot);
  }

  /// The same tree whatever the number of lanes.
  static float sum_parts(const Reg* parts) {
    float sums[kSumParts];
    for (int v = 0; v < kSumParts / I::kLanes; ++v) I::store(sums + v * I::kLanes, parts[v]);
#pragma GCC unroll 4
    for (int half = kSumParts / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
  }

  static float rms_norm(const NormRow& row, float* y) {
    Reg squares[kRegs];
    for (Reg& part : squares) part = I::zero();
    for_vectors(row.width, [&](int64_t i, int64_t count, int v) {
      const Reg x = load_some(row.x + i, count);
      squares[v] = I::multiply_add(x, x, squares[v]);
    });
    const float mean = sum_parts(squares) / static_cast<float>(row.width);
    const float r = 1.0F / std::sqrt(mean + row.eps);
    for_vectors(row.width, [&](int64_t i, int64_t count, int) {
      const Reg normed = I::multiply(load_some(row.x + i, count), I::set(r));
      store_some(y + i, count, I::multiply(normed, load_some(row.weight + i, count)));
    });
    return r;
  }

  static void rms_norm_backward(const NormRowBackward& row) {
    Reg dot[kRegs];
    for (Reg& part : dot) part = I::zero();
    for_vectors(row.width, [&](int64_t i, int64_t count, int v) {
      const Reg g = I::multiply(load_some(row.d_y + i, count), load_some(row.weight + i, count));
      dot[v] = I::multiply_add(g, load_some(row.x + i, count), dot[v]);
    });
    const float cubed = row.r * row.r * row.r;
    const Reg along = I::set(-(sum_parts(dot) / static_cast<float>(row.width)) * cubed);
    for_vectors(row.width, [&](int64_t i, int64_t count, int) {
      const Reg g = I::multiply(load_some(row.d_y + i, count), load_some(row.weight + i, count));
      const Reg scaled = I::multiply(g, I::set(row.r));
      store_some(row.d_x + i, count, I::multiply_add(load_some(row.x + i, count), along, scaled));
    });
  }

  static void rotate(const RotaryRow& row) {
    const Reg turn = I::set(row.turn);
    for_vectors(row.half, [&](int64_t i, int64_t count, int) {
      const int64_t j = row.half + i;
      const Reg a = load_some(row.x + i, count), b = load_some(row.x + j, count);
      const Reg sin = I::multiply(turn, load_some(row.sin + i, count));
      const Reg minus_sin = I::subtract(I::zero(), sin);
      const Reg first = I::multiply(a, load_some(row.cos + i, count));
      const Reg second = I::multiply(b, load_some(row.cos + j, count));
      store_some(row.y + i, count, I::multiply_add(b, minus_sin, first));
      store_some(row.y + j, count, I::multiply_add(a, sin, second));
    });
  }

  static void combine(const float* const* rows, const float* weights, int64_t num_rows,
                      int64_t width, float* out) {
    for_vectors(width, [&](int64_t i, int64_t count, int) {
      Reg sum = I::zero();
      for (int64_t s = 0; s < num_rows; ++s) {
        const Reg row = load_some(rows[s] + i, count);
        sum = weights == nullptr ? I::add(sum, row) : I::multiply_add(I::set(weights[s]), row, sum);
      }
      store_some(out + i, count, sum);
    });
  }
};

}  // namespace polygraft::kernels
