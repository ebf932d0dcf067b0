// model/architecture/head_loss.cpp: see head_loss.h.
// Every loss is a sum over tokens of a function of the token's logits z, which are h E_base^T and h
// E_added^T in the stored rows' order (head_columns.h). Its gradient with respect to z is known as
// soon as the logits are (p - onehot, q - p_base, ...), so the forward pass forms
//   dH = dz E   and   dE += dz^T h
// chunk by chunk and backward merely scales them by the incoming scalar (as Liger-Kernel's fused
// linear losses do). Legend: C tokens of a chunk, V base rows, v added rows, N
// stored rows.
#include "model/architecture/head_loss.h"

#include <algorithm>
#include <functional>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/head_columns.h"
#include "model/architecture/linear_product.h"

namespace polygraft::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Tokens per chunk: about 8 MiB of float32 logits, from 64 tokens (large vocabularies) to 512; on
/// a GPU, whose products want more rows, 32 times as many. Depends on the base's rows alone: with
/// additions masked the products then have the base's shapes, hence its bits.
int64_t chunk_tokens(const SplitRows& head) {
  constexpr int64_t kLogitsPerChunk = int64_t{2} << 20;
  const int64_t most =
      std::clamp<int64_t>(kLogitsPerChunk / std::max<int64_t>(head.num_base(), 1), 64, 512);
  return head.base.is_cpu() ? most : 32 * most;
}

/// Which gradients somebody will ask for.
struct Wanted {
  bool hidden = false, base = false, added = false;
  bool any() const { return hidden || base || added; }
};

bool wants_grad(const at::Tensor& tensor) {
  return at::GradMode::is_enabled() && tensor.defined() && tensor.requires_grad();
}

/// The base's logits [C, V] and those of added rows, in the stored order [C, N].
at::Tensor with_added_columns(const at::Tensor& hidden_CD, const at::Tensor& base_CV,
                              const SplitRows& head) {
  const auto added_Cv = head.added.defined() ? added_product(hidden_CD, head.added) : at::Tensor();
  return in_stored_order(base_CV, added_Cv, head.layout());
}

/// float32 logits [C, N] in the stored order; of the base alone [C, V].
at::Tensor chunk_logits(const at::Tensor& hidden_CD, const SplitRows& head, bool with_added) {
  const auto base_CV = linear_product(hidden_CD, head.base);
  if (!with_added) return base_CV.to(at::kFloat);
  return with_added_columns(hidden_CD, base_CV, head).to(at::kFloat);
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

  /// @param d_logits_CN float32. Products run in the weights' dtype, sums over chunks in float32.
  void add(int64_t first, const at::Tensor& d_logits_CN) {
    const auto d_CN = d_logits_CN.to(hidden_TD_.scalar_type());
    const auto hidden_CD = hidden_TD_.narrow(0, first, d_CN.size(0));
    const RowLayout layout = head_.layout();
    const auto d_base_CV = base_gradient(d_CN, layout);
    const bool with_added = layout.num_added > 0;
    const auto d_added_Cv = with_added ? added_columns(d_CN, layout) : at::Tensor();
    if (wanted_.hidden) {
      auto out_CD = d_hidden_.narrow(0, first, d_CN.size(0));
      linear_product_gradient(out_CD, d_base_CV, head_.base);
      if (with_added) out_CD.addmm_(d_added_Cv, head_.added.to(d_CN.scalar_type()));
    }
    if (wanted_.base) accumulate(d_base_, d_base_CV, hidden_CD);
    if (wanted_.added && with_added) accumulate(d_added_, d_added_Cv, hidden_CD);
  }
  /// Gradient of added rows alone, from their logits alone.
  void add_to_added(int64_t first, const at::Tensor& d_logits_Cv) {
    accumulate(d_added_, d_logits_Cv.to(hidden_TD_.scalar_type()),
               hidden_TD_.narrow(0, first, d_logits_Cv.size(0)));
  }

  /// {dH, dE_base, dE_added}, undefined where not wanted.
  variable_list take() {
    const auto in_dtype = [](const at::Tensor& gradient, const at::Tensor& of) {
      return gradient.defined() ? gradient.to(of.scalar_type()) : gradient;
    };
    return {d_hidden_, in_dtype(d_base_, head_.base), in_dtype(d_added_, head_.added)};
  }

 private:
  static void accumulate(at::Tensor& sum, const at::Tensor& d_logits, const at::Tensor& hidden_CD) {
    if (hidden_CD.scalar_type() == at::kFloat) {
      sum.addmm_(d_logits.t(), hidden_CD);
    } else {
      sum.add_(at::mm(d_logits.t(), hidden_CD));
    }
  }

  const at::Tensor& hidden_TD_;
  const SplitRows& head_;
  Wanted wanted_;
  at::Tensor d_hidden_, d_base_, d_added_;
};

/// A loss whose value and gradients exist already; backward scales them.
struct PrecomputedFunction : torch::autograd::Function<PrecomputedFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& /*hidden*/,
                            const at::Tensor& /*base*/, const std::optional<at::Tensor>& /*added*/,
                            const at::Tensor& value, const variable_list& gradients) {
    ctx->save_for_backward(gradients);
    return value.to(at::kFloat);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const auto saved = ctx->get_saved_variables();
    variable_list result(5);
    for (size_t i = 0; i < 3; ++i) {
      if (saved[i].defined()) result[i] = saved[i] * grads[0].to(saved[i].scalar_type());
    }
    return result;
  }
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

void check_targets(const at::Tensor& targets, int64_t num_rows) {
  if (targets.numel() == 0 || targets.max().item<int64_t>() < num_rows) return;
  throw ConfigError("targets", "a target id has no row in the output head")
      .expected(concat("below ", num_rows))
      .found(concat(targets.max().item<int64_t>()))
      .hint("with the added rows masked, text must be encoded with the base's tokenizer");
}

/// float64 [C] of -log p(target). @param log_p_CN float32.
at::Tensor picked_nll(const at::Tensor& log_p_CN, const at::Tensor& targets_C) {
  return log_p_CN.gather(1, targets_C.unsqueeze(1)).squeeze(1).to(at::kDouble).neg();
}

}  // namespace

at::Tensor token_nll(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                     const SplitRows& head, bool mask_added) {
  at::NoGradGuard no_grad;
  check_targets(targets_T, mask_added ? head.num_base() : head.layout().num_rows());
  const auto all_targets_T = targets_T.to(hidden_TD.device());
  auto nll_T = at::zeros(targets_T.sizes(), all_targets_T.options().dtype(at::kDouble));
  const int64_t step = chunk_tokens(head);
  for (int64_t first = 0; first < hidden_TD.size(0); first += step) {
    const int64_t count = std::min(step, hidden_TD.size(0) - first);
    const auto targets_C = all_targets_T.narrow(0, first, count);
    const auto log_p_CN =
        at::log_softmax(chunk_logits(hidden_TD.narrow(0, first, count), head, !mask_added), 1);
    const auto nll_C = picked_nll(log_p_CN, targets_C.clamp_min(0));
    nll_T.narrow(0, first, count).copy_(nll_C.masked_fill_(targets_C < 0, 0));
  }
  return nll_T;
}

TokenNll token_nll_both_ways(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head) {
  at::NoGradGuard no_grad;
  check_targets(targets_T, head.layout().num_rows());
  const int64_t num_base = head.num_base();
  const auto all_targets_T = targets_T.to(hidden_TD.device());
  const auto options = all_targets_T.options().dtype(at::kDouble);
  TokenNll nll{at::zeros(targets_T.sizes(), options), at::zeros(targets_T.sizes(), options)};
  const int64_t step = chunk_tokens(head);
  for (int64_t first = 0; first < hidden_TD.size(0); first += step) {
    const int64_t count = std::min(step, hidden_TD.size(0) - first);
    const auto hidden_CD = hidden_TD.narrow(0, first, count);
    const auto targets_C = all_targets_T.narrow(0, first, count);
    const auto base_CV = linear_product(hidden_CD, head.base);
    const auto keep = [&](const at::Tensor& logits_CN, const at::Tensor& skipped_C,
                          at::Tensor& out) {
      const auto safe_targets_C = targets_C.masked_fill(skipped_C, 0);
      const auto log_p_CN = at::log_softmax(logits_CN.to(at::kFloat), 1);
      const auto nll_C = picked_nll(log_p_CN, safe_targets_C);
      out.narrow(0, first, count).copy_(nll_C.masked_fill_(skipped_C, 0));
    };
    keep(with_added_columns(hidden_CD, base_CV, head), targets_C < 0, nll.all_T);
    keep(base_CV, (targets_C < 0).logical_or(targets_C >= num_base), nll.masked_T);
  }
  return nll;
}

at::Tensor cross_entropy_sum(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head) {
  check_targets(targets_T, head.layout().num_rows());
  const Wanted wanted{wants_grad(hidden_TD), wants_grad(head.base), wants_grad(head.added)};
  const auto all_targets_T = targets_T.to(hidden_TD.device());
  return sum_over_chunks(
      hidden_TD, head, wanted, [&](int64_t first, int64_t count, HeadGradient* gradient) {
        const auto targets_C = all_targets_T.narrow(0, first, count);
        const auto skipped_C = targets_C < 0;
        const auto safe_targets_C = targets_C.clamp_min(0);
        auto log_p_CN =
            at::log_softmax(chunk_logits(hidden_TD.narrow(0, first, count), head, true), 1);
        const auto sum = picked_nll(log_p_CN, safe_targets_C).masked_fill_(skipped_C, 0).sum();
        if (gradient != nullptr) {
          auto d_logits_CN = log_p_CN.exp_();  // p - onehot(target)
          d_logits_CN.scatter_add_(1, safe_targets_C.unsqueeze(1),
                                   at::full({count, 1}, -1.0F, d_logits_CN.options()));
          d_logits_CN.masked_fill_(skipped_C.unsqueeze(1), 0);
          gradient->add(first, d_logits_CN);
        }
        return sum;
      });
}

namespace {

/// In place, at the base rows that are not displaced.
void subtract_kept(at::Tensor& stored_CN, const at::Tensor& base_CK, const RowLayout& layout) {
  const int64_t num_front = layout.first_added(), num_behind = layout.num_behind();
  stored_CN.narrow(1, 0, num_front).sub_(base_CK.narrow(1, 0, num_front));
  if (num_behind == 0) return;
  stored_CN.narrow(1, num_front + layout.num_added, num_behind)
      .sub_(base_CK.narrow(1, num_front, num_behind));
}

}  // namespace

at::Tensor kl_to_base_sum(const at::Tensor& base_hidden_TD, const at::Tensor& hidden_TD,
                          const SplitRows& head) {
  const Wanted wanted{wants_grad(hidden_TD), wants_grad(head.base), wants_grad(head.added)};
  const RowLayout layout = head.layout();
  return sum_over_chunks(
      hidden_TD, head, wanted, [&](int64_t first, int64_t count, HeadGradient* gradient) {
        const auto base_logits_CV =
            chunk_logits(base_hidden_TD.narrow(0, first, count), head, false);
        const auto log_base_CK = at::log_softmax(kept_columns(base_logits_CV, layout), 1);
        auto log_q_CN =
            at::log_softmax(chunk_logits(hidden_TD.narrow(0, first, count), head, true), 1);
        const auto base_CK = log_base_CK.exp();
        const auto ratio_CK = at::sub(log_base_CK, kept_columns_of_stored(log_q_CN, layout));
        const auto sum = ratio_CK.mul_(base_CK).sum(1).sum(at::kDouble);
        if (gradient != nullptr) {
          auto d_logits_CN = log_q_CN.exp_();  // q - p_base, which is 0 at added and padding rows
          subtract_kept(d_logits_CN, base_CK, layout);
          gradient->add(first, d_logits_CN);
        }
        return sum;
      });
}

HeadLeak head_leak_sum(const at::Tensor& hidden_TD, const SplitRows& head) {
  HeadLeak leak;
  if (!head.added.defined()) {
    leak.cost_sum = at::zeros({}, hidden_TD.options().dtype(at::kFloat));
    return leak;
  }
  const auto detached_TD = hidden_TD.detach();
  const Wanted wanted{false, false, wants_grad(head.added)};
  const SplitRows rows{head.base.detach(), head.added, head.placement};
  leak.cost_sum = sum_over_chunks(
      detached_TD, rows, wanted, [&](int64_t first, int64_t count, HeadGradient* gradient) {
        const auto hidden_CD = detached_TD.narrow(0, first, count);
        const auto base_CV = linear_product(hidden_CD, rows.base).to(at::kFloat);
        const auto base_C1 = at::logsumexp(kept_columns(base_CV, rows.layout()), 1, true);
        const auto added_Cv = added_product(hidden_CD, rows.added).to(at::kFloat);
        const auto excess_C1 = at::logsumexp(added_Cv, 1, true) - base_C1;
        // d softplus(excess) / d added logit = its probability in the whole softmax
        auto added_p_Cv = at::exp(added_Cv - (base_C1 + at::softplus(excess_C1)));
        leak.leaked_mass_sum += added_p_Cv.sum(at::kDouble).item<double>();
        if (gradient != nullptr) gradient->add_to_added(first, added_p_Cv);
        return at::softplus(excess_C1).sum(at::kDouble);
      });
  return leak;
}

}  // namespace polygraft::model
