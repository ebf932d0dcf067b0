// model/architecture/causal_attention.h: causal attention through model/kernels/attention.h, with
// an explicit backward; attention.cpp has LibTorch's form, for masks and what the kernels do not
// suit. Legend: T tokens, H query heads, J key and value heads, C channels of a head.
#pragma once
#include <ATen/ATen.h>

#include <vector>

namespace polygraft::model {

/// Whether the kernels attend with such queries: float32, on the CPU, on a fast path.
bool attention_suits_kernels(const at::Tensor& q_THC);

/// Every token attends to its own sequence up to itself. Differentiable in all three.
/// @param k_TJC, v_TJC J divides H. @param lengths of the sequences; their sum is T.
/// @return [T, H, C].
at::Tensor causal_attention(const at::Tensor& q_THC, const at::Tensor& k_TJC,
                            const at::Tensor& v_TJC, const std::vector<int64_t>& lengths);

}  // namespace polygraft::model
