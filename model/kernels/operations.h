// model/kernels/operations.h: what a CPU path offers: a handful of operations on raw pointers, from
// which moe.cpp and linear.cpp build layers. One table of functions per instruction set.
// What every path keeps to, and what the tests hold it to:
//   an output element of a product is one chain of additions over the reduction index, in its
//   order, starting from zero (or from the value that is there). Hence a row's bits depend on
//   nothing but the row and the weights: not on the other rows, on how work is cut, or on which
//   thread does it.
// Paths with fused multiply-add (AVX2, AVX-512F) give the same bits as one another.
#pragma once
#include <cstdint>

namespace polygraft::kernels {

/// How an element lies in memory. Widening to float32 is exact.
enum class Stored { kF32, kBF16, kF16 };

constexpr int64_t bytes_of(Stored stored) { return stored == Stored::kF32 ? 4 : 2; }

/// A row-major matrix at any address, aligned or not.
struct Matrix {
  const char* data = nullptr;
  Stored stored = Stored::kF32;
  int64_t row_bytes = 0;

  const char* row(int64_t i) const { return data + i * row_bytes; }
  Matrix from(int64_t row_index, int64_t column) const {
    return {row(row_index) + column * bytes_of(stored), stored, row_bytes};
  }
};

/// out[m, n] (+)= sum over k, in order, of a[m, k] * w(n, k).
struct Product {
  const float* const* a_rows = nullptr;  ///< m -> depth floats: rows may be gathered from anywhere
  int64_t num_rows = 0;
  int64_t num_units = 0;
  int64_t depth = 0;
  Matrix weight;
  bool units_are_rows = true;  ///< w(n, k) = weight[n, k] (x W^T); otherwise weight[k, n] (x W)
  float* out = nullptr;
  int64_t out_stride = 0;   ///< floats
  bool accumulate = false;  ///< go on from what `out` holds
};

/// One row of h = silu(g) u, backward: p is dL/dh before the row's weight w.
struct SwigluBackward {
  const float *gate = nullptr, *up = nullptr, *d_h = nullptr;
  float weight = 0;
  int64_t width = 0;
  float *d_gate = nullptr, *d_up = nullptr;  ///< of w p
  float* weighted_h = nullptr;               ///< w h; null: not wanted
};

/// One row of y = x r w, r = 1 / sqrt(mean(x^2) + eps).
struct NormRow {
  const float *x = nullptr, *weight = nullptr;
  int64_t width = 0;
  float eps = 0;
};

/// The same backward: with g = d_y w,  d_x = r g - x r^3 mean(g x).
struct NormRowBackward {
  const float *x = nullptr, *weight = nullptr, *d_y = nullptr;
  int64_t width = 0;
  float r = 0;
  float* d_x = nullptr;
};

/// One head of y = x cos + rotate_half(x) sin, rotate_half([a, b]) = [-b, a]; `turn` 1, or -1 for
/// the way back.
struct RotaryRow {
  const float *x = nullptr, *cos = nullptr, *sin = nullptr;  ///< [2 half]; sin's halves are equal
  int64_t half = 0;
  float turn = 1;
  float* y = nullptr;
};

/// Sums over a stretch of x and y: of exp(x - shift), and of exp(x - shift) (x - y).
struct ExpDifference {
  double exp_sum = 0, weighted = 0;
};

struct Operations {
  const char* name;
  /// Whether layers are faster on it than with LibTorch's products.
  bool is_fast;
  /// Rows of a register tile: a piece of work has about a multiple of them.
  int64_t tile_rows;
  /// Rows of a large product that a task should have: weights are packed, or widened, once for all.
  int64_t rows_at_once;
  /// Floats of scratch that product() wants.
  int64_t product_scratch;

  void (*product)(const Product& product, float* scratch);
  /// h = silu(gate) up.
  void (*swiglu)(const float* gate, const float* up, int64_t width, float* h);
  /// @return <p, h>, the gradient of the row's weight; always summed in 16 interleaved parts.
  float (*swiglu_backward)(const SwigluBackward& row);
  /// out = sum over s, in order, of weights[s] * rows[s]; null weights are ones.
  void (*combine)(const float* const* rows, const float* weights, int64_t num_rows, int64_t width,
                  float* out);
  /// @return r; the mean is summed as swiglu_backward() sums.
  float (*rms_norm)(const NormRow& row, float* y);
  void (*rms_norm_backward)(const NormRowBackward& row);
  void (*rotate)(const RotaryRow& row);
  /// -infinity of nothing.
  float (*maximum)(const float* x, int64_t count);
  /// out = exp(x - shift), where it is wanted (not null; it may be x). @return its sum.
  double (*exp_sum)(const float* x, int64_t count, float shift, float* out);
  /// x becomes exp(x - shift).
  ExpDifference (*exp_difference)(float* x, const float* y, int64_t count, float shift);
  /// x = scale_x x - scale_y y; null y: nothing is subtracted.
  void (*scale_subtract)(float* x, float scale_x, const float* y, float scale_y, int64_t count);
  /// x = p (x - shift): the gradient of scores whose softmax is p.
  void (*softmax_gradient)(float* x, const float* p, float shift, int64_t count);
  /// out[c, r] = in[r, c].
  void (*transpose)(const float* in, int64_t in_stride, int64_t rows, int64_t columns, float* out,
                    int64_t out_stride);
  void (*widen)(const char* in, Stored stored, int64_t count, float* out);
  /// Rounds to nearest, ties to even.
  void (*round_bf16)(const float* in, int64_t count, char* out);
};

/// The paths. Calling one that the processor lacks is undefined: see cpu_features.h.
const Operations& portable_operations();
#if defined(__x86_64__)
const Operations& avx2_operations();
const Operations& avx512_operations();
const Operations& amx_operations();
/// As amx_operations(), but operands of products that lie in float32 or bfloat16 are rounded to
/// bfloat16; sums are float32.
const Operations& amx_rounding_operations();
#endif

}  // namespace polygraft::kernels
