// model/architecture/rms_norm.cpp: see rms_norm.h.
#include "model/architecture/rms_norm.h"

#include <torch/csrc/autograd/custom_function.h>

#include "model/architecture/device_views.h"
#include "model/architecture/kernel_call.h"
#include "model/kernels/rows.h"

namespace polygraft::model {
namespace {

using device::Lanes;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// By the kernels: all float32, on the CPU, elements of a row side by side.
bool uses_kernels(const at::Tensor& x, const at::Tensor& weight_D) {
  return weight_D.scalar_type() == at::kFloat && suits_kernels(weight_D, x.scalar_type());
}

kernels::NormShape shape_of(const at::Tensor& x) {
  return {x.size(-1) == 0 ? 0 : x.numel() / x.size(-1), x.size(-1)};
}

/// By a GPU's bodies, which have no gradient for the weight.
bool suits_bodies(const at::Tensor& x, const at::Tensor& weight_D) {
  return x.scalar_type() == at::kBFloat16 && weight_D.scalar_type() == at::kBFloat16 &&
         !weight_D.requires_grad() && x.size(-1) % device::kLanes == 0;
}

device::RowTeams teams_of(const at::Tensor& x) {
  return {x.numel() / x.size(-1), x.size(-1) / device::kLanes};
}

struct DeviceRmsNormFunction : torch::autograd::Function<DeviceRmsNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight_D,
                            double eps, device::Executor* executor) {
    auto y = at::empty(x.sizes(), x.options());
    const auto inverse_R = at::empty({teams_of(x).num_rows}, x.options().dtype(at::kFloat));
    executor->run(device::RmsNorm{device_view<const Lanes>(x), device_view<const Lanes>(weight_D),
                                  device_view<Lanes>(y), device_view<float>(inverse_R), teams_of(x),
                                  static_cast<float>(eps)});
    ctx->save_for_backward({x, weight_D, inverse_R});
    ctx->saved_data["executor"] = reinterpret_cast<int64_t>(executor);
    return y;
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto d_y = grads[0].contiguous();
    const auto d_x = at::empty(saved[0].sizes(), saved[0].options());
    auto& executor = *reinterpret_cast<device::Executor*>(ctx->saved_data["executor"].toInt());
    executor.run(device::RmsNormBackward{
        device_view<const Lanes>(saved[0]), device_view<const Lanes>(saved[1]),
        device_view<const Lanes>(d_y), device_view<const float>(saved[2]), device_view<Lanes>(d_x),
        teams_of(d_x)});
    return {d_x, {}, {}, {}};
  }
};

struct RmsNormFunction : torch::autograd::Function<RmsNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight_D,
                            double eps) {
    if (uses_kernels(x, weight_D)) return kernel_forward(ctx, x.contiguous(), weight_D, eps);
    const auto x32 = x.to(at::kFloat);
    const auto width = static_cast<double>(x.size(-1));
    const auto inverse =
        at::linalg_vector_norm(x32, 2, -1, true).square_().div_(width).add_(eps).rsqrt_();
    ctx->save_for_backward({x, weight_D, inverse});
    return at::mul(x32, inverse).to(x.scalar_type()).mul_(weight_D);
  }

  static at::Tensor kernel_forward(AutogradContext* ctx, const at::Tensor& x,
                                   const at::Tensor& weight_D, double eps) {
    auto sizes = x.sizes().vec();
    sizes.back() = 1;
    const auto inverse = at::empty(sizes, x.options());
    auto y = at::empty(x.sizes(), x.options());
    kernels::rms_norm_forward(kernel_runner(), shape_of(x), x.const_data_ptr<float>(),
                              weight_D.contiguous().const_data_ptr<float>(),
                              static_cast<float>(eps), y.mutable_data_ptr<float>(),
                              inverse.mutable_data_ptr<float>());
    ctx->save_for_backward({x, weight_D, inverse});
    return y;
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
    if (uses_kernels(x, weight_D)) {
      auto d_x = at::empty(x.sizes(), x.options());
      kernels::rms_norm_input_gradient(
          kernel_runner(), shape_of(x), x.const_data_ptr<float>(),
          weight_D.contiguous().const_data_ptr<float>(), inverse.const_data_ptr<float>(),
          dy32.contiguous().const_data_ptr<float>(), d_x.mutable_data_ptr<float>());
      return {d_x, d_weight_D, at::Tensor()};
    }
    auto d_x = at::mul(dy32, weight_D);
    const auto projection = at::mul(d_x, x32).sum(-1, true).mul_(inverse.pow(3)).div_(width);
    d_x.mul_(inverse).addcmul_(x32, projection, -1);
    return {d_x.to(x.scalar_type()), d_weight_D, at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_D, double eps,
                    device::Executor* executor) {
  if (executor != nullptr && suits_bodies(x, weight_D)) {
    return DeviceRmsNormFunction::apply(x.contiguous(), weight_D.contiguous(), eps, executor);
  }
  return RmsNormFunction::apply(x, weight_D, eps);
}

}  // namespace polygraft::model
