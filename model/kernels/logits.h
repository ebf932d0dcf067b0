// model/kernels/logits.h: losses of each token's logits, and their gradients in the logits' place,
// float32, on raw pointers. Base and added rows' logits are two products and stay two matrices. A
// token's bits depend on its logits alone. Legend: T tokens, V base rows, v added rows.
#pragma once
#include "model/kernels/linear.h"

namespace polygraft::kernels {

/// Which rows a softmax runs over: base rows but the displaced ones, added rows, and copies of one
/// base row, which have its logit.
struct LogitLayout {
  int64_t num_base = 0;
  int64_t first_displaced = 0, end_displaced = 0;  ///< base rows; where equal, none
  int64_t num_added = 0;
  int64_t num_copies = 0, copied_row = 0;
};

/// [T, V] and [T, v], rows at a stride of so many floats.
struct Logits {
  int64_t num_tokens = 0;
  float* base = nullptr;
  int64_t base_stride = 0;
  float* added = nullptr;
  int64_t added_stride = 0;

  float* base_row(int64_t token) const { return base + token * base_stride; }
  float* added_row(int64_t token) const { return added + token * added_stride; }
};

/// A target: column `index` of the base's logits or of the added ones; or none.
struct Target {
  enum class In { kNone, kBase, kAdded } in = In::kNone;
  int64_t index = 0;
};

/// result [T] = logsumexp over `count` logits of each token.
void log_sum_exp(const Runner& runner, int64_t num_tokens, const Rows& logits, int64_t count,
                 double* result);

/// nll [T] = logsumexp(z) - z_target, 0 without a target. z becomes softmax(z) - onehot(target), or
/// zero; a displaced row's is zero, a copied row has its copies'.
void cross_entropy(const Runner& runner, const LogitLayout& layout, const Logits& logits,
                   const Target* targets, double* nll);

/// kl [T] of softmax(y) over base rows that are not displaced from softmax(z) over all. y becomes
/// something else. @param with_gradient z becomes softmax(z) - softmax(y).
void kl_divergence(const Runner& runner, const LogitLayout& layout, float* base_logits,
                   int64_t base_logits_stride, const Logits& logits, double* kl,
                   bool with_gradient);

/// cost [T] = logsumexp(base and added) - logsumexp(base), without displaced rows and copies.
/// @param with_gradient added logits become their probabilities.
void head_leak(const Runner& runner, const LogitLayout& layout, const Logits& logits, double* cost,
               bool with_gradient);

}  // namespace polygraft::kernels
