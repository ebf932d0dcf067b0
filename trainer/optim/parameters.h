// trainer/optim/parameters.h: which tensors train. Every other tensor is frozen: no gradient, no
// optimizer state, no weight decay.
#pragma once
#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "model/architecture/weights.h"
#include "trainer/config.h"

namespace polygraft::trainer {

/// One trainable tensor: a leaf of the graph, float32 and contiguous, shared with the model's
/// weights.
struct Parameter {
  std::string name;  ///< logical, "layers.3.moe.router.added"
  at::Tensor value;
  double learning_rate_scale = 1.0;
  bool decays = false;  ///< matrices decay, vectors (norms, biases) do not
  /// An adapter's factor alone: the matrix that it makes, where backward leaves the gradient.
  at::Tensor made = {};
};
using Parameters = std::vector<Parameter>;

/// Marks the tensors that `config.trainable` names as requiring gradients and all others as not, in
/// a fixed order. With `lora` these are rows of new tokens; LowRankAdapters has the rest.
/// `none-but-router` means the added router rows of an expanded model, every router
/// otherwise.
/// @throws ConfigError when the model has nothing of that kind (a model without additions, a dense
/// one).
Parameters select_parameters(model::Weights& weights, const TrainConfig& config);

int64_t num_elements(const Parameters& parameters);
std::vector<at::Tensor> values(const Parameters& parameters);

}  // namespace polygraft::trainer
