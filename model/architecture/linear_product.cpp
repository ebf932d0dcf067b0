// model/architecture/linear_product.cpp: see linear_product.h. Weights that lie in another dtype go
// through model/kernels where the processor has a fast path (kernel_call.h).
#include "model/architecture/linear_product.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>

#include "model/architecture/kernel_call.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr uintptr_t kAlignment = 64;                  // bytes, as ATen allocates
constexpr int64_t kBlockElements = int64_t{4} << 20;  // converted at once: 16 MiB of float32

bool is_usable(const at::Tensor& stored, at::ScalarType dtype) {
  if (stored.requires_grad()) return true;
  const auto address = reinterpret_cast<uintptr_t>(stored.const_data_ptr());
  return stored.scalar_type() == dtype && address % kAlignment == 0;
}

/// Rows that are converted at once. Depends on the row's width alone, so that a base and the same
/// base with rows added behind it are cut alike. A weight of the right dtype is never cut: its
/// products have the bits that they have from memory.
int64_t block_rows(const at::Tensor& weight_ND, at::ScalarType dtype) {
  if (weight_ND.scalar_type() == dtype) return std::max<int64_t>(weight_ND.size(0), 1);
  return std::max<int64_t>(kBlockElements / weight_ND.size(1), 1);
}

/// float32 weights need no conversion, and stay with LibTorch unless operands are rounded.
bool uses_kernels(const at::Tensor& weight_ND, at::ScalarType activations) {
  const bool is_wide = weight_ND.scalar_type() == at::kFloat;
  return (!is_wide || rounds_operands()) && suits_kernels(weight_ND, activations);
}

at::Tensor with_rows_side_by_side(const at::Tensor& rows) {
  return rows.stride(1) == 1 ? rows : rows.contiguous();
}

kernels::LinearShape shape_of(const at::Tensor& rows, const at::Tensor& weight_ND) {
  return {rows.size(0), weight_ND.size(1), weight_ND.size(0)};
}

struct StoredLinear : torch::autograd::Function<StoredLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TD,
                            const at::Tensor& weight_ND, const std::optional<at::Tensor>& bias_N) {
    ctx->save_for_backward({weight_ND, weight_ND.requires_grad() ? x_TD : at::Tensor()});
    ctx->saved_data["has_bias"] = bias_N.has_value();
    auto out_TN = at::empty({x_TD.size(0), weight_ND.size(0)}, x_TD.options());
    if (uses_kernels(weight_ND, x_TD.scalar_type())) {
      const auto rows_TD = with_rows_side_by_side(x_TD);
      const float* bias = bias_N.has_value() ? bias_N->const_data_ptr<float>() : nullptr;
      kernels::linear_forward(kernel_runner(), shape_of(x_TD, weight_ND), as_rows(rows_TD),
                              as_matrix(weight_ND), bias, as_rows(out_TN));
      return out_TN;
    }
    const int64_t step = block_rows(weight_ND, x_TD.scalar_type());
    for (int64_t first = 0; first < weight_ND.size(0); first += step) {
      const int64_t count = std::min(step, weight_ND.size(0) - first);
      const auto block = for_use(weight_ND.narrow(0, first, count), x_TD.scalar_type());
      auto out = out_TN.narrow(1, first, count);
      if (bias_N.has_value()) {
        at::addmm_out(out, bias_N->narrow(0, first, count), x_TD, block.t());
      } else {
        at::mm_out(out, x_TD, block.t());
      }
    }
    return out_TN;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &weight_ND = saved[0], &x_TD = saved[1];
    at::Tensor d_x_TD, d_weight_ND, d_bias_N;
    if (ctx->needs_input_grad(0)) {
      d_x_TD = at::empty({grads[0].size(0), weight_ND.size(1)}, grads[0].options());
      linear_product_gradient(d_x_TD, grads[0], weight_ND);
    }
    if (ctx->needs_input_grad(1)) {
      d_weight_ND = at::zeros(weight_ND.sizes(), weight_ND.options());
      add_weight_gradient(d_weight_ND, grads[0], x_TD);
    }
    const bool has_bias = ctx->saved_data["has_bias"].toBool();  // else it is no input
    if (has_bias && ctx->needs_input_grad(2)) d_bias_N = grads[0].sum(0);
    return {d_x_TD, d_weight_ND, d_bias_N};
  }
};

}  // namespace

at::Tensor for_use(const at::Tensor& stored, at::ScalarType dtype) {
  if (is_usable(stored, dtype)) return stored;
  return at::empty(stored.sizes(), stored.options().dtype(dtype)).copy_(stored);
}

at::Tensor linear_product(const at::Tensor& x_TD, const at::Tensor& weight_ND,
                          const at::Tensor& bias_N) {
  if (!is_usable(weight_ND, x_TD.scalar_type()) || uses_kernels(weight_ND, x_TD.scalar_type())) {
    return StoredLinear::apply(x_TD, weight_ND,
                               bias_N.defined() ? std::optional(bias_N) : std::nullopt);
  }
  return bias_N.defined() ? at::addmm(bias_N, x_TD, weight_ND.t()) : at::mm(x_TD, weight_ND.t());
}

at::Tensor added_product(const at::Tensor& x_TD, const at::Tensor& rows_nD) {
  return linear_product(x_TD, rows_nD.to(x_TD.scalar_type()));
}

void linear_product_gradient(at::Tensor& out_TD, const at::Tensor& d_out_TN,
                             const at::Tensor& weight_ND, Onto onto) {
  const bool accumulate = onto == Onto::kSum;
  if (uses_kernels(weight_ND, d_out_TN.scalar_type())) {
    const auto rows_TN = with_rows_side_by_side(d_out_TN);
    return kernels::linear_input_gradient(kernel_runner(), shape_of(d_out_TN, weight_ND),
                                          as_rows(rows_TN), as_matrix(weight_ND), as_rows(out_TD),
                                          accumulate);
  }
  const int64_t step = block_rows(weight_ND, d_out_TN.scalar_type());
  for (int64_t first = 0; first < weight_ND.size(0); first += step) {
    const int64_t count = std::min(step, weight_ND.size(0) - first);
    const auto block = for_use(weight_ND.narrow(0, first, count), d_out_TN.scalar_type());
    const auto d_out = d_out_TN.narrow(1, first, count);
    if (first == 0 && !accumulate) {
      at::mm_out(out_TD, d_out, block);
    } else {
      out_TD.addmm_(d_out, block);
    }
  }
}

void add_weight_gradient(at::Tensor& sum_ND, const at::Tensor& d_out_TN, const at::Tensor& x_TD) {
  if (x_TD.scalar_type() != at::kFloat) {
    sum_ND.add_(at::mm(d_out_TN.t(), x_TD));
  } else if (uses_kernels(sum_ND, x_TD.scalar_type())) {
    const auto rows_TN = with_rows_side_by_side(d_out_TN), rows_TD = with_rows_side_by_side(x_TD);
    kernels::linear_weight_gradient(kernel_runner(), shape_of(x_TD, sum_ND), as_rows(rows_TN),
                                    as_rows(rows_TD), sum_ND.mutable_data_ptr<float>(), true);
  } else {
    sum_ND.addmm_(d_out_TN.t(), x_TD);
  }
}

}  // namespace polygraft::model
