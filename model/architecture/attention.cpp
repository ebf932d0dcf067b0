// model/architecture/attention.cpp: see attention.h.
#include "model/architecture/attention.h"

#include "model/architecture/causal_attention.h"
#include "model/architecture/linear_product.h"
#include "model/architecture/rms_norm.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

/// True where row's token may look at column's: not ahead, less than `window` back (0: no limit),
/// and not from one branch into another. On the CPU.
at::Tensor attention_mask(const SequenceGroup& group, int64_t window) {
  auto mask_LL = at::ones({group.length, group.length}, at::kBool).tril();
  if (group.branches.empty()) return mask_LL.triu(1 - window);
  const Batch alone{at::empty({group.length}, at::kLong), {group.length}, {group.branches}};
  const auto position_L = token_positions(alone);
  int64_t first = group.length;
  for (auto branch = group.branches.rbegin(); branch != group.branches.rend(); ++branch) {
    first -= *branch;
    mask_LL.narrow(0, first + *branch, group.length - first - *branch)
        .narrow(1, first, *branch)
        .fill_(false);
  }
  if (window == 0) return mask_LL;
  return mask_LL & (position_L.unsqueeze(1) - position_L < window);
}

/// Whether more is hidden from a token than what comes after it.
bool is_masked(const SequenceGroup& group, int64_t window) {
  return (window > 0 && group.length > window) || !group.branches.empty();
}

/// Causal attention within each sequence of one group, `window` tokens back at most (0: no limit).
/// @return [tokens, H, C].
at::Tensor attend(const SequenceGroup& group, int64_t window, const at::Tensor& q_THC,
                  const at::Tensor& k_TJC, const at::Tensor& v_TJC) {
  const bool masked = is_masked(group, window);
  if (!masked && attention_suits_kernels(q_THC)) {
    const std::vector<int64_t> lengths(static_cast<size_t>(group.num_sequences), group.length);
    return causal_attention(q_THC, k_TJC, v_TJC, lengths);
  }
  const auto rows = [&group](const at::Tensor& x) {
    return x.view({group.num_sequences, group.length, x.size(1), x.size(2)}).transpose(1, 2);
  };
  const int64_t num_sharing = q_THC.size(1) / k_TJC.size(1);
  const std::optional<at::Tensor> mask =
      masked ? std::optional(sent_to(q_THC.device(), attention_mask(group, window))) : std::nullopt;
  // With a mask no fused attention of a GPU's lets queries share heads, and the other keeps scores.
  const bool repeats = masked && num_sharing > 1 && !q_THC.is_cpu();
  const auto keys = [&](const at::Tensor& x_TJC) {
    return rows(repeats ? x_TJC.repeat_interleave(num_sharing, 1) : x_TJC);
  };
  const auto out_BHLC = at::scaled_dot_product_attention(
      rows(q_THC), keys(k_TJC), keys(v_TJC), mask, 0.0,
      /*is_causal=*/!masked, std::nullopt, /*enable_gqa=*/num_sharing > 1 && !repeats);
  return out_BHLC.transpose(1, 2).reshape({group.num_tokens(), q_THC.size(1), q_THC.size(2)});
}

/// Causal attention of one sequence's newest tokens to all that the cache holds, themselves
/// included. What the sequence begins with needs no mask, which would be as large as its square.
/// @return [T, H, C].
at::Tensor attend_cached(int64_t window, const at::Tensor& q_THC, const LayerCache& cache) {
  const at::Tensor &key_PJC = cache.key.rows(), &value_PJC = cache.value.rows();
  const int64_t num_new = q_THC.size(0), num_seen = key_PJC.size(0);
  const auto heads_first = [](const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  const bool is_masked = num_new < num_seen || (window > 0 && num_seen > window);
  std::optional<at::Tensor> mask_TP;
  if (is_masked) {
    mask_TP = at::ones({num_new, num_seen}, at::kBool).tril(num_seen - num_new);
    if (window > 0) mask_TP = mask_TP->triu(num_seen - num_new + 1 - window);
    mask_TP = sent_to(q_THC.device(), *mask_TP);
  }
  const bool grouped_queries = q_THC.size(1) != key_PJC.size(1);
  const auto out_BHTC = at::scaled_dot_product_attention(
      heads_first(q_THC), heads_first(key_PJC), heads_first(value_PJC), mask_TP, 0.0,
      /*is_causal=*/!is_masked, std::nullopt, grouped_queries);
  return out_BHTC.squeeze(0).transpose(0, 1);
}

/// The same for all groups, which the kernels take at once where none is masked.
at::Tensor attend_groups(const std::vector<SequenceGroup>& groups, int64_t window,
                         const at::Tensor& q_THC, const at::Tensor& k_TJC,
                         const at::Tensor& v_TJC) {
  if (groups.size() == 1) return attend(groups[0], window, q_THC, k_TJC, v_TJC);
  std::vector<int64_t> sizes, lengths;
  bool any_masked = false;
  for (const SequenceGroup& group : groups) {
    sizes.push_back(group.num_tokens());
    lengths.insert(lengths.end(), static_cast<size_t>(group.num_sequences), group.length);
    any_masked = any_masked || is_masked(group, window);
  }
  if (!any_masked && attention_suits_kernels(q_THC)) {
    return causal_attention(q_THC, k_TJC, v_TJC, lengths);
  }
  const auto q = at::split_with_sizes(q_THC, sizes);
  const auto k = at::split_with_sizes(k_TJC, sizes);
  const auto v = at::split_with_sizes(v_TJC, sizes);
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i < groups.size(); ++i) {
    parts.push_back(attend(groups[i], window, q[i], k[i], v[i]));
  }
  return at::cat(parts);
}

/// The same, in few calls where the layout has them and no window hides anything.
at::Tensor attend_layout(const SequenceLayout& layout, int64_t window, const at::Tensor& q_THC,
                         const at::Tensor& k_TJC, const at::Tensor& v_TJC) {
  const auto& padded = layout.padded;
  if (!padded || (window > 0 && padded->longest() > window)) {
    return attend_groups(layout.groups, window, q_THC, k_TJC, v_TJC);
  }
  return padded->unpad(attend_groups(padded->groups(), 0, padded->pad(q_THC), padded->pad(k_TJC),
                                     padded->pad(v_TJC)));
}

/// Each sequence's new tokens by its own cache. @return [T, H, C].
at::Tensor continue_sequences(const std::vector<SequenceGroup>& groups, int64_t window,
                              const at::Tensor& q_THC, const at::Tensor& k_TJC,
                              const at::Tensor& v_TJC, const std::vector<LayerCache*>& caches) {
  std::vector<at::Tensor> parts;
  auto cache = caches.begin();
  int64_t first = 0;
  for (const SequenceGroup& group : groups) {
    for (int64_t s = 0; s < group.num_sequences; ++s, first += group.length, ++cache) {
      (*cache)->key.append(k_TJC.narrow(0, first, group.length));
      (*cache)->value.append(v_TJC.narrow(0, first, group.length));
      parts.push_back(attend_cached(window, q_THC.narrow(0, first, group.length), **cache));
    }
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

/// One projection as [tokens, heads, head_dim]: normed in pieces as wide as `norm` (a head, or all
/// of them), then bounded.
at::Tensor shape_heads(at::Tensor x, const at::Tensor& norm, const AttentionRule& rule) {
  if (norm.defined()) {
    x = rms_norm(x.view({x.size(0), -1, norm.size(0)}), norm, rule.norm_eps, rule.executor);
  }
  if (rule.clip > 0) x = at::clamp(x, -rule.clip, rule.clip);
  return x.view({x.size(0), -1, rule.head_dim});
}

}  // namespace

at::Tensor attention(const at::Tensor& x_TD, const AttentionWeights& weights,
                     const AttentionRule& rule, const RopeTable& rope, const SequenceLayout& layout,
                     const std::vector<LayerCache*>& caches) {
  const int64_t num_tokens = x_TD.size(0);
  const auto heads = [&](const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& norm) {
    return shape_heads(linear_product(x_TD, weight, bias), norm, rule);
  };
  const auto q_THC = apply_rope(heads(weights.query, weights.query_bias, weights.query_norm), rope);
  const auto k_TJC = apply_rope(heads(weights.key, weights.key_bias, weights.key_norm), rope);
  const auto v_TJC = heads(weights.value, weights.value_bias, {});

  const auto out_THC =
      caches.empty() ? attend_layout(layout, rule.window, q_THC, k_TJC, v_TJC)
                     : continue_sequences(layout.groups, rule.window, q_THC, k_TJC, v_TJC, caches);
  return linear_product(out_THC.reshape({num_tokens, -1}), weights.output, weights.output_bias);
}

}  // namespace polygraft::model
