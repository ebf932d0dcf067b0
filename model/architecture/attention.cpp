// model/architecture/attention.cpp: see attention.h.
#include "model/architecture/attention.h"

#include "model/architecture/rms_norm.h"

namespace polygraft::model {
namespace {

at::Tensor project(const at::Tensor& x_TD, const at::Tensor& weight, const at::Tensor& bias) {
  return bias.defined() ? at::addmm(bias, x_TD, weight.t()) : at::mm(x_TD, weight.t());
}

/// Causal attention within each sequence of one group. @return [tokens, H, C].
at::Tensor attend(const SequenceGroup& group, const at::Tensor& q_THC, const at::Tensor& k_TJC,
                  const at::Tensor& v_TJC) {
  const auto rows = [&group](const at::Tensor& x) {
    return x.view({group.num_sequences, group.length, x.size(1), x.size(2)}).transpose(1, 2);
  };
  const bool grouped_queries = q_THC.size(1) != k_TJC.size(1);
  const auto out_BHLC =
      at::scaled_dot_product_attention(rows(q_THC), rows(k_TJC), rows(v_TJC), {}, 0.0,
                                       /*is_causal=*/true, std::nullopt, grouped_queries);
  return out_BHLC.transpose(1, 2).reshape({group.num_tokens(), q_THC.size(1), q_THC.size(2)});
}

}  // namespace

std::vector<SequenceGroup> group_sequences(const std::vector<int64_t>& lengths) {
  std::vector<SequenceGroup> groups;
  for (const int64_t length : lengths) {
    if (groups.empty() || groups.back().length != length) groups.push_back({0, length});
    ++groups.back().num_sequences;
  }
  return groups;
}

at::Tensor attention(const at::Tensor& x_TD, const AttentionWeights& weights,
                     const ModelConfig& config, const RopeTable& rope,
                     const std::vector<SequenceGroup>& groups) {
  const int64_t num_tokens = x_TD.size(0);
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& bias) {
    return project(x_TD, weight, bias).view({num_tokens, -1, config.head_dim});
  };
  auto q_THC = heads(weights.query, weights.query_bias);
  auto k_TJC = heads(weights.key, weights.key_bias);
  const auto v_TJC = heads(weights.value, weights.value_bias);
  if (weights.query_norm.defined())
    q_THC = rms_norm(q_THC, weights.query_norm, config.rms_norm_eps);
  if (weights.key_norm.defined()) k_TJC = rms_norm(k_TJC, weights.key_norm, config.rms_norm_eps);
  q_THC = apply_rope(q_THC, rope);
  k_TJC = apply_rope(k_TJC, rope);

  at::Tensor out_THC;
  if (groups.size() == 1) {
    out_THC = attend(groups[0], q_THC, k_TJC, v_TJC);
  } else {
    std::vector<int64_t> sizes;
    for (const auto& group : groups) sizes.push_back(group.num_tokens());
    const auto q = at::split_with_sizes(q_THC, sizes);
    const auto k = at::split_with_sizes(k_TJC, sizes);
    const auto v = at::split_with_sizes(v_TJC, sizes);
    std::vector<at::Tensor> parts;
    for (size_t i = 0; i < groups.size(); ++i) parts.push_back(attend(groups[i], q[i], k[i], v[i]));
    out_THC = at::cat(parts);
  }
  return project(out_THC.reshape({num_tokens, -1}), weights.output, weights.output_bias);
}

}  // namespace polygraft::model
