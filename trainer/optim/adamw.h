// trainer/optim/adamw.h: AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) over the trainable
// tensors alone.
//   m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w = w (1 - lr decay) - lr (m / (1-b1^t)) /
//   (sqrt(v / (1-b2^t)) + eps)
// Reference: torch.optim.AdamW(fused=True), whose kernel this calls; elementwise, hence the same
// bits for any thread count.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "trainer/optim/parameters.h"

namespace polygraft::trainer {

/// A gradient's norm is taken block by block, so that ranks which share out a tensor between blocks
/// find its bits. Elements.
constexpr int64_t kBlockElements = int64_t{1} << 18;

inline int64_t count_blocks(int64_t num_elements) {
  return (num_elements + kBlockElements - 1) / kBlockElements;
}

/// Euclidean norms of all gradients' blocks, parameter after parameter; 0 where there is none.
std::vector<double> block_norms(const Parameters& parameters);
/// The norm of everything that the blocks are of; not finite when a block's is not.
double global_norm(const std::vector<double>& block_norms);
/// Scales gradients whose global norm is `norm` down to `max_norm` (0: never), as
/// torch.nn.utils.clip_grad_norm_ does.
void limit_gradients(const Parameters& parameters, double norm, double max_norm);
/// The three of them. @return the norm before clipping.
double clip_gradients(const Parameters& parameters, double max_norm);

void clear_gradients(const Parameters& parameters);

class AdamW {
 public:
  AdamW(const Parameters& parameters, const OptimizerConfig& config);

  /// One update at `learning_rate` (before each parameter's own scale). A parameter without a
  /// gradient is left alone.
  void step(double learning_rate);

  /// Forgets both moments and the step count, as after a jump to other weights.
  void reset();

  // Everything that a checkpoint must hold.
  const std::vector<at::Tensor>& first_moments() const { return first_; }
  const std::vector<at::Tensor>& second_moments() const { return second_; }
  int64_t num_updates() const { return num_updates_; }
  void set_num_updates(int64_t count) { num_updates_ = count; }

 private:
  Parameters parameters_;
  OptimizerConfig config_;
  std::vector<at::Tensor> first_, second_;
  int64_t num_updates_ = 0;
};

}  // namespace polygraft::trainer
