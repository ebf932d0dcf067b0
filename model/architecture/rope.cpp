// model/architecture/rope.cpp: see rope.h.
#include "model/architecture/rope.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "model/architecture/kernel_call.h"
#include "model/kernels/rows.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// theta^(2i/C) for i < C/2: the wavelengths over 2 pi.
at::Tensor position_scales(const ModelConfig& config) {
  const auto exponent = at::arange(0, config.head_dim, 2, at::kLong).to(at::kFloat) /
                        static_cast<double>(config.head_dim);
  return at::pow(at::Scalar(config.rope.theta), exponent);
}

int64_t original_positions(const ModelConfig& config) {
  return config.rope.original_max_positions > 0 ? config.rope.original_max_positions
                                                : config.max_positions;
}

/// Llama 3: long waves are slowed by `factor`, short ones kept, those between interpolated.
at::Tensor llama3_frequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const double context = static_cast<double>(original_positions(config));
  const auto plain = position_scales(config).reciprocal();
  const auto wavelength = plain.reciprocal() * (2 * std::numbers::pi);
  const auto scaled =
      at::where(wavelength > context / rope.low_freq_factor, plain / rope.factor, plain);
  const auto smooth = (context / wavelength - rope.low_freq_factor) /
                      (rope.high_freq_factor - rope.low_freq_factor);
  const auto between = (1 - smooth) * scaled / rope.factor + smooth * scaled;
  const auto is_between =
      at::logical_not(wavelength < context / rope.high_freq_factor)
          .logical_and(at::logical_not(wavelength > context / rope.low_freq_factor));
  return at::where(is_between, between, scaled);
}

/// YaRN (Peng et al. 2023, equations 17-19): the channel at which a wave turns `rotations` times
/// within the context.
double yarn_channel(double rotations, const ModelConfig& config) {
  const double context = static_cast<double>(original_positions(config));
  return config.head_dim * std::log(context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.rope.theta));
}

at::Tensor yarn_frequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  double low = yarn_channel(rope.beta_fast, config);
  double high = yarn_channel(rope.beta_slow, config);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.head_dim - 1));
  if (low == high) high += 0.001;  // as the reference: keeps the ramp finite
  const auto scales = position_scales(config);
  const auto ramp =
      ((at::arange(config.head_dim / 2, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const auto keep = 1 - ramp;
  return (scales * rope.factor).reciprocal() * (1 - keep) + scales.reciprocal() * keep;
}

double yarn_attention_factor(const RopeConfig& rope) {
  const auto mscale = [&rope](double weight) {
    return rope.factor <= 1 ? 1.0 : 0.1 * weight * std::log(rope.factor) + 1.0;
  };
  if (rope.attention_factor) return *rope.attention_factor;
  if (rope.mscale.value_or(0) != 0 && rope.mscale_all_dim.value_or(0) != 0) {
    return mscale(*rope.mscale) / mscale(*rope.mscale_all_dim);
  }
  return mscale(1.0);
}

at::Tensor rotate_by_kernels(const at::Tensor& x_THC, const at::Tensor& cos_T1C,
                             const at::Tensor& sin_T1C, double direction) {
  const auto rows_THC = x_THC.contiguous();
  auto y_THC = at::empty(x_THC.sizes(), x_THC.options());
  kernels::rotate_heads(kernel_runner(), {x_THC.size(0), x_THC.size(1), x_THC.size(2)},
                        rows_THC.const_data_ptr<float>(),
                        cos_T1C.contiguous().const_data_ptr<float>(),
                        sin_T1C.contiguous().const_data_ptr<float>(), static_cast<float>(direction),
                        y_THC.mutable_data_ptr<float>());
  return y_THC;
}

/// y = x * cos + rotate_half(x) * sin. Its transpose rotates back: the same with sin negated.
at::Tensor rotate(const at::Tensor& x_THC, const at::Tensor& cos_T1C, const at::Tensor& sin_T1C,
                  double direction) {
  if (cos_T1C.scalar_type() == at::kFloat && suits_kernels(cos_T1C, x_THC.scalar_type())) {
    return rotate_by_kernels(x_THC, cos_T1C, sin_T1C, direction);
  }
  const int64_t half = x_THC.size(2) / 2;
  auto y_THC = at::mul(x_THC, cos_T1C);
  const auto sin_T1c = sin_T1C.narrow(2, 0, half);  // both halves of the table are equal
  y_THC.narrow(2, 0, half).addcmul_(x_THC.narrow(2, half, half), sin_T1c, -direction);
  y_THC.narrow(2, half, half).addcmul_(x_THC.narrow(2, 0, half), sin_T1c, direction);
  return y_THC;
}

struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_THC,
                            const at::Tensor& cos_T1C, const at::Tensor& sin_T1C) {
    ctx->save_for_backward({cos_T1C, sin_T1C});
    return rotate(x_THC, cos_T1C, sin_T1C, 1.0);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    return {rotate(grads[0], saved[0], saved[1], -1.0), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

RopeFrequencies rope_frequencies(const ModelConfig& config) {
  const std::string& type = config.rope.type;
  if (type == "default") return {position_scales(config).reciprocal(), 1.0};
  if (type == "linear") return {position_scales(config).reciprocal() / config.rope.factor, 1.0};
  if (type == "llama3") return {llama3_frequencies(config), 1.0};
  if (type == "yarn") return {yarn_frequencies(config), yarn_attention_factor(config.rope)};
  throw NotBuiltError("rope type '" + type + "'").expected("default, linear, llama3 or yarn");
}

RopeTable rope_table(const RopeFrequencies& frequencies, const at::Tensor& position_T,
                     at::ScalarType dtype) {
  const int64_t num_positions = position_T.numel() == 0 ? 0 : position_T.max().item<int64_t>() + 1;
  const auto angle_LC =
      at::outer(at::arange(num_positions, at::kFloat), frequencies.inverse).repeat({1, 2});
  const auto rows = [&](const at::Tensor& value_LC) {
    const auto scaled_LC = (value_LC * frequencies.attention_factor).to(dtype);
    return scaled_LC.index_select(0, position_T).unsqueeze(1);
  };
  return {rows(angle_LC.cos()), rows(angle_LC.sin())};
}

at::Tensor apply_rope(const at::Tensor& x_THC, const RopeTable& table) {
  return RopeFunction::apply(x_THC, table.cos_T1C, table.sin_T1C);
}

}  // namespace polygraft::model
