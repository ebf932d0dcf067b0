// model/architecture/linear_product.h: products with weights that may lie in a memory-mapped
// checkpoint, in another dtype than the one computed in. The kernels multiply such a weight as it
// lies (kernel_call.h); without a fast path, or for activations other than float32, it is converted
// block by block at use and never kept. float32 weights are LibTorch's, unless operands are rounded
// (model/kernels/dispatch.h): then they go through the kernels too, trained ones as well. Either
// way a frozen base costs page cache, which the system takes back when it must, and no memory of
// the process. Conversion is exact from bf16 and fp16 to fp32. Legend: T tokens, D width in, N
// width out.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::model {

/// `stored` as a matrix product wants it: itself when it trains, or has `dtype` and lies at a
/// multiple of 64 bytes (the products' bits may depend on that); a copy otherwise.
at::Tensor for_use(const at::Tensor& stored, at::ScalarType dtype);

/// x W^T + b in x's dtype, differentiable. @param weight_ND of any floating dtype if it is frozen,
/// of x's if it trains. @param bias_N undefined, or in x's dtype. @return [T, N].
at::Tensor linear_product(const at::Tensor& x_TD, const at::Tensor& weight_ND,
                          const at::Tensor& bias_N = {});

/// x W^T in x's dtype, for rows that may train, in float32 where x is bfloat16.
at::Tensor added_product(const at::Tensor& x_TD, const at::Tensor& rows_nD);

enum class Onto { kNothing, kSum };  ///< whether a product is added to what is there

/// out (+)= d_out W, not recorded by autograd; what linear_product() does backward.
void linear_product_gradient(at::Tensor& out_TD, const at::Tensor& d_out_TN,
                             const at::Tensor& weight_ND, Onto onto = Onto::kNothing);

/// sum += d_out^T x, not recorded by autograd. @param sum_ND float32.
void add_weight_gradient(at::Tensor& sum_ND, const at::Tensor& d_out_TN, const at::Tensor& x_TD);

}  // namespace polygraft::model
