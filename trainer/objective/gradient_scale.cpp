// trainer/objective/gradient_scale.cpp: see gradient_scale.h.
#include "trainer/objective/gradient_scale.h"

#include <torch/csrc/autograd/custom_function.h>

namespace polygraft::trainer {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct ScaledGradient : torch::autograd::Function<ScaledGradient> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& tensor, double factor) {
    ctx->saved_data["factor"] = factor;
    return tensor.view_as(tensor);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& gradients) {
    return {gradients[0] * ctx->saved_data["factor"].toDouble(), at::Tensor()};
  }
};

}  // namespace

at::Tensor with_scaled_gradient(const at::Tensor& tensor, double factor) {
  const bool as_it_is = factor == 1 || !tensor.defined() || !tensor.requires_grad();
  return as_it_is ? tensor : ScaledGradient::apply(tensor, factor);
}

}  // namespace polygraft::trainer
