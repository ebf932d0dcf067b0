// model/architecture/head_loss.cpp: see head_loss.h.
// Every loss is a sum over tokens of a function of the token's logits z, which are h E_base^T and h
// E_added^T (logit_losses.h). Its gradient with respect to z is known as soon as the logits are (p
// - onehot, q - p_base, ...), so the forward pass forms
//   dH = dz E   and   dE += dz^T h
// chunk by chunk and backward merely scales them by the incoming scalar (as Liger-Kernel's fused
// linear losses do). Legend: C tokens of a chunk, V base rows, v added rows.
#include "model/architecture/head_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <functional>

#include "model/architecture/linear_product.h"
#include "model/architecture/logit_losses.h"
#include "model/architecture/token_nll.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

int64_t chunk_tokens(const SplitRows& head) {
  return head_chunk_tokens(head.num_base(), !head.base.is_cpu());
}

/// Which gradients somebody will ask for.
struct Wanted {
  bool hidden = false, base = false, added = false;
  bool any() const { return hidden || base || added; }
};

bool wants_grad(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}

SplitLogits base_logits(const at::Tensor& hidden_CD, const SplitRows& head) {
  return {linear_product(hidden_CD, head.base), at::Tensor()};
}

SplitLogits all_logits(const at::Tensor& hidden_CD, const SplitRows& head) {
  SplitLogits logits = base_logits(hidden_CD, head);
  if (head.added.defined()) logits.added_Cv = added_product(hidden_CD, head.added);
  return logits;
}

/// The products dH and dE of all chunks.
class HeadGradient {
 public:
  HeadGradient(const at::Tensor& hidden_TD, const SplitRows& head, Wanted wanted)
      : hidden_TD_(hidden_TD), head_(head), wanted_(wanted) {
    if (wanted.hidden) d_hidden_ = at::empty_like(hidden_TD);
    const auto options = hidden_TD.options().dtype(at::kFloat);
    if (wanted.base) d_base_ = at::zeros(head.base.sizes(), options);
    if (wanted.added) d_added_ = at::zeros(head.added.sizes(), options);
  }

  /// Products run in the weights' dtype, sums over chunks in float32.
  void add(int64_t first, const SplitLogits& gradient) {
    const auto d_base_CV = gradient.base_CV.to(hidden_TD_.scalar_type());
    const auto hidden_CD = hidden_TD_.narrow(0, first, d_base_CV.size(0));
    if (wanted_.base) add_weight_gradient(d_base_, d_base_CV, hidden_CD);
    if (wanted_.hidden) {
      auto out_CD = d_hidden_.narrow(0, first, d_base_CV.size(0));
      linear_product_gradient(out_CD, d_base_CV, head_.base);
    }
    if (gradient.added_Cv.defined()) add_added(first, gradient.added_Cv);
  }
  /// From added rows' logits alone.
  void add_added(int64_t first, const at::Tensor& gradient_Cv) {
    const auto d_added_Cv = gradient_Cv.to(hidden_TD_.scalar_type());
    const int64_t count = d_added_Cv.size(0);
    if (wanted_.added)
      add_weight_gradient(d_added_, d_added_Cv, hidden_TD_.narrow(0, first, count));
    if (!wanted_.hidden) return;
    auto out_CD = d_hidden_.narrow(0, first, count);
    linear_product_gradient(out_CD, d_added_Cv, head_.added.to(d_added_Cv.scalar_type()),
                            Onto::kSum);
  }

  /// {dH, dE_base, dE_added}, undefined where not wanted.
  variable_list take() {
    const auto in_dtype = [](const at::Tensor& gradient, const at::Tensor& of) {
      return gradient.defined() ? gradient.to(of.scalar_type()) : gradient;
    };
    return {d_hidden_, in_dtype(d_base_, head_.base), in_dtype(d_added_, head_.added)};
  }

 private:
  const at::Tensor& hidden_TD_;
  const SplitRows& head_;
  Wanted wanted_;
  at::Tensor d_hidden_, d_base_, d_added_;
};

/// A loss whose value and gradients exist already; backward, which runs once, scales them where
/// they are: the head's is as large as the vocabulary.
struct PrecomputedFunction : torch::autograd::Function<PrecomputedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& /*hidden*/,
                            const at::Tensor& /*base*/, const std::optional<at::Tensor>& /*added*/,
                            const at::Tensor& value, const variable_list& gradients) {
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i].defined()) ctx->saved_data[kNames[i]] = gradients[i];
    }
    return value.to(at::kFloat);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    variable_list result(5);
    for (size_t i = 0; i < kNames.size(); ++i) {
      const auto saved = ctx->saved_data.find(kNames[i]);
      if (saved == ctx->saved_data.end()) continue;
      result[i] = std::move(saved->second).toTensor();
      result[i].mul_(grads[0].to(result[i].scalar_type()));
    }
    ctx->saved_data.clear();
    return result;
  }
  static constexpr std::array kNames = {"hidden", "base", "added"};
};

/// Runs `chunk(first, count, gradient or null)` over all tokens, sums what it returns (a float64
/// scalar), and attaches gradients.
using ChunkLoss = std::function<at::Tensor(int64_t first, int64_t count, HeadGradient* gradient)>;
at::Tensor sum_over_chunks(const at::Tensor& hidden_TD, const SplitRows& head, Wanted wanted,
                           const ChunkLoss& chunk) {
  auto sum = at::zeros({}, hidden_TD.options().dtype(at::kDouble));
  variable_list gradients;
  {
    at::NoGradGuard
        no_grad;  // the chunks' operations are not recorded: their gradients are explicit
    HeadGradient gradient(hidden_TD, head, wanted);
    const int64_t step = chunk_tokens(head);
    for (int64_t first = 0; first < hidden_TD.size(0); first += step) {
      const int64_t count = std::min(step, hidden_TD.size(0) - first);
      sum.add_(chunk(first, count, wanted.any() ? &gradient : nullptr));
    }
    gradients = gradient.take();
  }
  if (!wanted.any()) return sum.to(at::kFloat);
  const auto added = head.added.defined() ? std::optional(head.added) : std::nullopt;
  return PrecomputedFunction::apply(hidden_TD, head.base, added, sum, gradients);
}

}  // namespace

int64_t head_chunk_tokens(int64_t num_base_rows, bool on_gpu) {
  constexpr int64_t kLargeVocabulary = 32768;
  const int64_t logits = int64_t{1} << (on_gpu ? 21 : 19);
  const int64_t least = on_gpu ? 8 : num_base_rows >= kLargeVocabulary ? 256 : 64;
  const int64_t rows = std::max<int64_t>(num_base_rows, 1);
  const int64_t tokens = std::clamp<int64_t>(logits / rows, least, 512);
  return on_gpu ? 32 * tokens : tokens;
}

at::Tensor cross_entropy_sum(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head) {
  const Wanted wanted{wants_grad(hidden_TD), wants_grad(head.base), wants_grad(head.added)};
  if (!wanted.any()) return token_nll(hidden_TD, targets_T, head).sum().to(at::kFloat);
  check_targets(targets_T, head.layout().num_rows());
  const auto all_targets_T = sent_to(hidden_TD.device(), targets_T);
  return sum_over_chunks(hidden_TD, head, wanted,
                         [&](int64_t first, int64_t count, HeadGradient* gradient) {
                           const auto targets_C = all_targets_T.narrow(0, first, count);
                           auto logits = all_logits(hidden_TD.narrow(0, first, count), head);
                           const auto sum = cross_entropy(logits, targets_C, head.layout()).sum();
                           gradient->add(first, logits);
                           return sum;
                         });
}

at::Tensor kl_to_base_sum(const at::Tensor& base_hidden_TD, const at::Tensor& hidden_TD,
                          const SplitRows& head) {
  const Wanted wanted{wants_grad(hidden_TD), wants_grad(head.base), wants_grad(head.added)};
  return sum_over_chunks(
      hidden_TD, head, wanted, [&](int64_t first, int64_t count, HeadGradient* gradient) {
        auto of_base_CV = base_logits(base_hidden_TD.narrow(0, first, count), head).base_CV;
        auto logits = all_logits(hidden_TD.narrow(0, first, count), head);
        const auto kl_C = kl_divergence(of_base_CV, logits, head.layout(), gradient != nullptr);
        if (gradient != nullptr) gradient->add(first, logits);
        return kl_C.sum();
      });
}

at::Tensor head_leak_sum(const at::Tensor& hidden_TD, const SplitRows& head) {
  if (!head.added.defined()) return at::zeros({}, hidden_TD.options().dtype(at::kFloat));
  const auto detached_TD = hidden_TD.detach();
  const Wanted wanted{false, false, wants_grad(head.added)};
  const SplitRows rows{head.base.detach(), head.added, head.placement};
  return sum_over_chunks(
      detached_TD, rows, wanted, [&](int64_t first, int64_t count, HeadGradient* gradient) {
        auto logits = all_logits(detached_TD.narrow(0, first, count), rows);
        const auto cost_C = head_leak(logits, rows.layout(), gradient != nullptr);
        if (gradient != nullptr) gradient->add_added(first, logits.added_Cv);
        return cost_C.sum();
      });
}

}  // namespace polygraft::model
