// model/architecture/logit_losses.cpp: see logit_losses.h. LibTorch's side works on logits in the
// stored rows' order (head_columns.h), which costs a copy of them and several passes; it is what
// the kernels are compared with.
#include "model/architecture/logit_losses.h"

#include <algorithm>
#include <vector>

#include "model/architecture/head_columns.h"
#include "model/architecture/kernel_call.h"
#include "model/kernels/logits.h"

namespace polygraft::model {
namespace {

bool uses_kernels(const at::Tensor& logits_CV) {
  return logits_CV.scalar_type() == at::kFloat && suits_kernels(logits_CV, at::kFloat);
}

kernels::LogitLayout layout_for_kernels(const RowLayout& layout) {
  return {layout.num_base,  layout.first_added(),         layout.end_displaced(),
          layout.num_added, layout.placement.num_padding, layout.placement.padding_row};
}

/// Rows side by side; the kernels write into them.
float* floats(const at::Tensor& rows) {
  TORCH_INTERNAL_ASSERT(rows.dim() == 2 && rows.stride(1) == 1);
  return rows.mutable_data_ptr<float>();
}

kernels::Logits logits_for_kernels(const SplitLogits& logits) {
  const at::Tensor& base = logits.base_CV;
  kernels::Logits result{base.size(0), floats(base), base.stride(0), nullptr, 0};
  if (logits.added_Cv.defined()) {
    result.added = floats(logits.added_Cv);
    result.added_stride = logits.added_Cv.stride(0);
  }
  return result;
}

/// Where a stored row's logit is.
kernels::Target target_of(int64_t id, const RowLayout& layout) {
  using In = kernels::Target::In;
  if (id < 0) return {In::kNone, 0};
  if (id < layout.first_added()) return {In::kBase, id};
  const int64_t behind = id - layout.first_added() - layout.num_added;
  if (behind < 0) return {In::kAdded, id - layout.first_added()};
  if (behind < layout.num_behind()) return {In::kBase, layout.end_displaced() + behind};
  return {In::kBase, layout.placement.padding_row};
}

std::vector<kernels::Target> targets_for_kernels(const at::Tensor& targets_C,
                                                 const RowLayout& layout) {
  const auto ids = targets_C.contiguous();
  const int64_t* data = ids.const_data_ptr<int64_t>();
  std::vector<kernels::Target> targets;
  targets.reserve(static_cast<size_t>(ids.numel()));
  for (int64_t i = 0; i < ids.numel(); ++i) targets.push_back(target_of(data[i], layout));
  return targets;
}

at::Tensor log_softmax_of(const SplitLogits& logits, const RowLayout& layout) {
  return at::log_softmax(in_stored_order(logits.base_CV, logits.added_Cv, layout).to(at::kFloat),
                         1);
}

SplitLogits split(const at::Tensor& d_stored_CN, const RowLayout& layout) {
  const bool with_added = layout.num_added > 0;
  return {base_gradient(d_stored_CN, layout),
          with_added ? added_columns(d_stored_CN, layout) : at::Tensor()};
}

/// @param log_p_CN float32. @return float64 [C], 0 where the target is -1.
at::Tensor picked_nll(const at::Tensor& log_p_CN, const at::Tensor& targets_C) {
  const auto picked_C = log_p_CN.gather(1, targets_C.clamp_min(0).unsqueeze(1)).squeeze(1);
  return picked_C.to(at::kDouble).neg().masked_fill_(targets_C < 0, 0);
}

/// In place, at the base rows that are not displaced.
void subtract_kept(at::Tensor& stored_CN, const at::Tensor& base_CK, const RowLayout& layout) {
  const int64_t num_front = layout.first_added(), num_behind = layout.num_behind();
  stored_CN.narrow(1, 0, num_front).sub_(base_CK.narrow(1, 0, num_front));
  if (num_behind == 0) return;
  stored_CN.narrow(1, num_front + layout.num_added, num_behind)
      .sub_(base_CK.narrow(1, num_front, num_behind));
}

}  // namespace

at::Tensor log_sum_exp(const at::Tensor& logits_CN) {
  if (!uses_kernels(logits_CN)) {
    return at::logsumexp(logits_CN.to(at::kFloat), 1).to(at::kDouble);
  }
  auto sums_C = at::empty({logits_CN.size(0)}, at::kDouble);
  kernels::log_sum_exp(kernel_runner(), logits_CN.size(0), as_rows(logits_CN), logits_CN.size(1),
                       sums_C.mutable_data_ptr<double>());
  return sums_C;
}

at::Tensor cross_entropy(SplitLogits& logits, const at::Tensor& targets_C,
                         const RowLayout& layout) {
  if (uses_kernels(logits.base_CV)) {
    const auto targets = targets_for_kernels(targets_C, layout);
    auto nll_C = at::empty({targets_C.size(0)}, at::kDouble);
    kernels::cross_entropy(kernel_runner(), layout_for_kernels(layout), logits_for_kernels(logits),
                           targets.data(), nll_C.mutable_data_ptr<double>());
    return nll_C;
  }
  auto log_p_CN = log_softmax_of(logits, layout);
  const auto nll_C = picked_nll(log_p_CN, targets_C);
  auto d_logits_CN = log_p_CN.exp_();
  // Of one dimension: of two, a GPU has no way, or a longer one, to the same bits every time.
  const int64_t width = d_logits_CN.size(1), end = d_logits_CN.numel();
  const auto first_C = at::arange(0, end, std::max<int64_t>(width, 1), targets_C.options());
  const auto place_C = first_C + targets_C.clamp_min(0);
  d_logits_CN.view({-1}).scatter_add_(0, place_C, at::full_like(place_C, -1.0, at::kFloat));
  d_logits_CN.masked_fill_((targets_C < 0).unsqueeze(1), 0);
  logits = split(d_logits_CN, layout);
  return nll_C;
}

at::Tensor kl_divergence(at::Tensor& base_logits_CV, SplitLogits& logits, const RowLayout& layout,
                         bool with_gradient) {
  if (uses_kernels(logits.base_CV)) {
    auto kl_C = at::empty({base_logits_CV.size(0)}, at::kDouble);
    kernels::kl_divergence(kernel_runner(), layout_for_kernels(layout), floats(base_logits_CV),
                           base_logits_CV.stride(0), logits_for_kernels(logits),
                           kl_C.mutable_data_ptr<double>(), with_gradient);
    return kl_C;
  }
  const auto log_base_CK = at::log_softmax(kept_columns(base_logits_CV.to(at::kFloat), layout), 1);
  auto log_q_CN = log_softmax_of(logits, layout);
  const auto base_CK = log_base_CK.exp();
  const auto ratio_CK = at::sub(log_base_CK, kept_columns_of_stored(log_q_CN, layout));
  const auto kl_C = ratio_CK.mul_(base_CK).sum(1).to(at::kDouble);
  if (with_gradient) {
    auto d_logits_CN = log_q_CN.exp_();
    subtract_kept(d_logits_CN, base_CK, layout);
    logits = split(d_logits_CN, layout);
  }
  return kl_C;
}

at::Tensor head_leak(SplitLogits& logits, const RowLayout& layout, bool with_gradient) {
  if (uses_kernels(logits.base_CV)) {
    auto cost_C = at::empty({logits.base_CV.size(0)}, at::kDouble);
    kernels::head_leak(kernel_runner(), layout_for_kernels(layout), logits_for_kernels(logits),
                       cost_C.mutable_data_ptr<double>(), with_gradient);
    return cost_C;
  }
  const auto kept_CK = kept_columns(logits.base_CV.to(at::kFloat), layout);
  const auto base_C1 = at::logsumexp(kept_CK, 1, true);
  const auto added_Cv = logits.added_Cv.to(at::kFloat);
  const auto excess_C1 = at::logsumexp(added_Cv, 1, true) - base_C1;
  const auto cost_C1 = at::softplus(excess_C1);
  // d softplus(excess) / d added logit = its probability in the whole softmax
  if (with_gradient) logits.added_Cv = at::exp(added_Cv - (base_C1 + cost_C1));
  return cost_C1.squeeze(1).to(at::kDouble);
}

}  // namespace polygraft::model
