// model/architecture/rms_norm.cpp: see rms_norm.h.
#include "model/architecture/rms_norm.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight_D,
                            double eps) {
    const auto x32 = x.to(at::kFloat);
    const auto width = static_cast<double>(x.size(-1));
    const auto inverse =
        at::linalg_vector_norm(x32, 2, -1, true).square_().div_(width).add_(eps).rsqrt_();
    ctx->save_for_backward({x, weight_D, inverse});
    return at::mul(x32, inverse).to(x.scalar_type()).mul_(weight_D);
  }

  // With r = 1/sqrt(mean(x^2) + eps) and g = dy * w:  dx = r g - x r^3 mean(g x),  dw = sum over
  // rows of dy * (x r).
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];
    const auto& weight_D = saved[1];
    const auto& inverse = saved[2];
    const auto width = static_cast<double>(x.size(-1));
    const auto x32 = x.to(at::kFloat);
    const auto dy32 = grads[0].to(at::kFloat);
    at::Tensor d_weight_D;
    if (ctx->needs_input_grad(1)) {
      const auto unscaled = at::mul(x32, inverse).mul_(dy32).view({-1, x.size(-1)});
      d_weight_D = unscaled.sum(0).to(weight_D.scalar_type());
    }
    auto d_x = at::mul(dy32, weight_D);
    const auto projection = at::mul(d_x, x32).sum(-1, true).mul_(inverse.pow(3)).div_(width);
    d_x.mul_(inverse).addcmul_(x32, projection, -1);
    return {d_x.to(x.scalar_type()), d_weight_D, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps) {
  return RmsNormFunction::apply(x, weight_D, eps);
}

}  // namespace polygraft::model
