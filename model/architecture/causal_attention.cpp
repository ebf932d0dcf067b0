// model/architecture/causal_attention.cpp: see causal_attention.h.
#include "model/architecture/causal_attention.h"

#include <torch/csrc/autograd/custom_function.h>

#include "model/architecture/kernel_call.h"
#include "model/kernels/attention.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

kernels::AttentionShape shape_of(const at::Tensor& q_THC, const at::Tensor& k_TJC,
                                 const std::vector<int64_t>& lengths) {
  kernels::AttentionShape shape{q_THC.size(1), k_TJC.size(1), q_THC.size(2), {0}};
  for (const int64_t length : lengths)
    shape.first_token.push_back(shape.first_token.back() + length);
  TORCH_INTERNAL_ASSERT(shape.num_tokens() == q_THC.size(0));
  return shape;
}

const float* floats_of(const at::Tensor& tensor) { return tensor.const_data_ptr<float>(); }

struct CausalAttentionFunction : torch::autograd::Function<CausalAttentionFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q_THC, const at::Tensor& k_TJC,
                            const at::Tensor& v_TJC, const std::vector<int64_t>& lengths) {
    auto out_THC = at::empty(q_THC.sizes(), q_THC.options());
    auto log_sum_TH = at::empty({q_THC.size(0), q_THC.size(1)}, q_THC.options());
    kernels::attention_forward(
        kernel_runner(), shape_of(q_THC, k_TJC, lengths),
        {floats_of(q_THC), floats_of(k_TJC), floats_of(v_TJC), out_THC.mutable_data_ptr<float>(),
         log_sum_TH.mutable_data_ptr<float>()});
    ctx->save_for_backward({q_THC, k_TJC, v_TJC, out_THC, log_sum_TH});
    ctx->saved_data["lengths"] = lengths;
    return out_THC;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    const auto &q_THC = saved[0], &k_TJC = saved[1], &v_TJC = saved[2];
    const auto d_out_THC = grads[0].contiguous();
    variable_list d;
    for (const auto& of : {q_THC, k_TJC, v_TJC}) d.push_back(at::empty(of.sizes(), of.options()));
    kernels::attention_backward(
        kernel_runner(), shape_of(q_THC, k_TJC, ctx->saved_data["lengths"].toIntVector()),
        {floats_of(q_THC), floats_of(k_TJC), floats_of(v_TJC), floats_of(saved[3]),
         floats_of(saved[4]), floats_of(d_out_THC), d[0].mutable_data_ptr<float>(),
         d[1].mutable_data_ptr<float>(), d[2].mutable_data_ptr<float>()});
    d.emplace_back();
    return d;
  }
};

}  // namespace

bool attention_suits_kernels(const at::Tensor& q_THC) {
  return suits_kernels(q_THC, q_THC.scalar_type());
}

at::Tensor causal_attention(const at::Tensor& q_THC, const at::Tensor& k_TJC,
                            const at::Tensor& v_TJC, const std::vector<int64_t>& lengths) {
  return CausalAttentionFunction::apply(q_THC.contiguous(), k_TJC.contiguous(), v_TJC.contiguous(),
                                        lengths);
}

}  // namespace polygraft::model
