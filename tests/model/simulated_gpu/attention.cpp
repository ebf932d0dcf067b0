// tests/model/simulated_gpu/attention.cpp: attention as one operation, as GPUs have it: what it
// keeps for its backward is its inputs, its output and a number for each row. LibTorch would make
// it of products otherwise, which keep more. Legend: B sequences, H heads, J heads of keys, L
// positions.
#include <ATen/ATen.h>
#include <ATen/SDPBackend.h>
#include <ATen/native/transformers/attention.h>
#include <torch/library.h>

#include "tests/model/simulated_gpu/memory.h"

namespace polygraft::testing {
namespace {

/// Float32 copies on the CPU, and what is made of them.
struct Attention {
  at::Tensor q_BHLC, k_BHLC, v_BHLC, weight_BHLL;
  double scale = 1;

  Attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
            const std::optional<at::Tensor>& bias, bool is_causal, std::optional<double> wanted)
      : q_BHLC(opened(q).to(at::kFloat)),
        k_BHLC(for_each_head(k, q.size(1))),
        v_BHLC(for_each_head(v, q.size(1))),
        scale(wanted.value_or(1 / std::sqrt(static_cast<double>(q.size(3))))) {
    at::Tensor score_BHLL = at::matmul(q_BHLC, k_BHLC.transpose(2, 3)) * scale;
    if (bias.has_value() && bias->defined()) score_BHLL += opened(*bias).to(at::kFloat);
    if (is_causal) {
      const auto later = at::ones({q.size(2), k.size(2)}, at::kBool).triu(1);
      score_BHLL.masked_fill_(later, -std::numeric_limits<double>::infinity());
    }
    weight_BHLL = at::softmax(score_BHLL, 3);
  }

 private:
  static at::Tensor for_each_head(const at::Tensor& x_BJLC, int64_t num_heads) {
    return opened(x_BJLC).to(at::kFloat).repeat_interleave(num_heads / x_BJLC.size(1), 1);
  }
};

at::Tensor on_gpu_of(const at::Tensor& like, const at::Tensor& values) {
  const at::Tensor result = at::empty_like(like);
  opened(result).copy_(values);
  return result;
}

/// Of the heads that share one of keys.
at::Tensor summed(const at::Tensor& d_BHLC, int64_t num_key_heads) {
  return d_BHLC.unflatten(1, {num_key_heads, d_BHLC.size(1) / num_key_heads}).sum(2);
}

int64_t choose_attention(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const std::optional<at::Tensor>&, double, bool, std::optional<double>,
                         bool) {
  return static_cast<int64_t>(at::SDPBackend::overrideable);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, c10::SymInt, c10::SymInt, at::Tensor,
           at::Tensor, at::Tensor>
forward(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
        const std::optional<at::Tensor>& bias, double /*dropout*/, bool is_causal, bool /*debug*/,
        std::optional<double> scale) {
  const Attention attention(q, k, v, bias, is_causal, scale);
  const at::Tensor out = on_gpu_of(q, at::matmul(attention.weight_BHLL, attention.v_BHLC));
  const auto of_rows = at::zeros({q.size(0), q.size(1), q.size(2)}, q.options().dtype(at::kFloat));
  const auto none = at::empty({0}, q.options());
  return {out, of_rows, none, none, q.size(2), k.size(2), none, none, none};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> backward(
    const at::Tensor& d_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& bias, std::array<bool, 4> /*wanted*/, const at::Tensor& out,
    const at::Tensor& /*of_rows*/, const at::Tensor& /*cum_q*/, const at::Tensor& /*cum_k*/,
    c10::SymInt /*max_q*/, c10::SymInt /*max_k*/, double /*dropout*/, bool is_causal,
    const at::Tensor& /*seed*/, const at::Tensor& /*offset*/, std::optional<double> scale) {
  const Attention attention(q, k, v, bias, is_causal, scale);
  const auto d_out_BHLC = opened(d_out).to(at::kFloat), out_BHLC = opened(out).to(at::kFloat);
  const auto d_v = at::matmul(attention.weight_BHLL.transpose(2, 3), d_out_BHLC);
  const auto d_weight_BHLL = at::matmul(d_out_BHLC, attention.v_BHLC.transpose(2, 3));
  const auto d_score_BHLL = attention.weight_BHLL *
                            (d_weight_BHLL - (d_out_BHLC * out_BHLC).sum(3, true)) *
                            attention.scale;
  const auto d_q = at::matmul(d_score_BHLL, attention.k_BHLC);
  const auto d_k = at::matmul(d_score_BHLL.transpose(2, 3), attention.q_BHLC);
  return {on_gpu_of(q, d_q), on_gpu_of(k, summed(d_k, k.size(1))),
          on_gpu_of(v, summed(d_v, v.size(1))), at::Tensor()};
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("_scaled_dot_product_fused_attention_overrideable", forward);
  library.impl("_scaled_dot_product_fused_attention_overrideable_backward", backward);
}

}  // namespace
}  // namespace polygraft::testing

namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &polygraft::testing::choose_attention)
}  // namespace at::native
