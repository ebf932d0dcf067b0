// model/architecture/token_nll.cpp: see token_nll.h.
// -log p(target) = logsumexp(z) - z_target, and logsumexp(z) is that of its blocks' logsumexp.
// Blocks are cut by the base's rows alone: with additions masked they are the base's own, hence
// give its bits. Legend: C tokens of a chunk, N rows of a block.
#include "model/architecture/token_nll.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "model/architecture/linear_product.h"
#include "model/architecture/logit_losses.h"
#include "model/architecture/upload.h"

namespace polygraft::model {
namespace {

/// Logits that exist at once: 4 MiB, on a GPU 256 MiB.
struct Block {
  int64_t tokens, rows;
};
Block block_on(const at::Tensor& hidden_TD) {
  return hidden_TD.is_cpu() ? Block{512, 2048} : Block{4096, 16384};
}

/// The logsumexp of some rows each, float64 [C].
using Parts = std::vector<at::Tensor>;

at::Tensor log_sum_exp_of(const Parts& parts) { return at::logsumexp(at::stack(parts, 1), 1); }

/// The logit that each token asks for, out of blocks that come one after another.
class Picked {
 public:
  /// @param columns_C int64; -1: none.
  explicit Picked(at::Tensor columns_C)
      : columns_C_(std::move(columns_C)),
        logits_C_(at::zeros(columns_C_.sizes(), columns_C_.options().dtype(at::kDouble))) {}

  /// @param first the block's first column.
  void look(const at::Tensor& logits_CN, int64_t first) {
    const auto column_C = columns_C_ - first;
    const auto is_here_C = (column_C >= 0) & (column_C < logits_CN.size(1));
    const auto found_C1 =
        logits_CN.gather(1, column_C.clamp(0, logits_CN.size(1) - 1).unsqueeze(1));
    logits_C_ = at::where(is_here_C, found_C1.squeeze(1).to(at::kDouble), logits_C_);
  }
  const at::Tensor& logits_C() const { return logits_C_; }

 private:
  at::Tensor columns_C_, logits_C_;
};

at::Tensor is_added(const at::Tensor& targets_T, const RowLayout& layout) {
  return (targets_T >= layout.first_added()) &
         (targets_T < layout.first_added() + layout.num_added);
}

/// Whether a target is an added token, whose place may be that of a spare base row, or padding.
at::Tensor has_no_base_row(const at::Tensor& targets_T, const RowLayout& layout) {
  return is_added(targets_T, layout) | (targets_T >= layout.first_padding());
}

/// Where the rows of targets are: in the base, or behind it with the added ones.
at::Tensor columns_of(const at::Tensor& targets_T, const RowLayout& layout) {
  const int64_t first_behind = layout.first_added() + layout.num_added;
  auto columns_T = at::where(targets_T >= first_behind,
                             targets_T + (layout.end_displaced() - first_behind), targets_T);
  columns_T.masked_fill_(targets_T >= layout.first_padding(), layout.placement.padding_row);
  return at::where(is_added(targets_T, layout),
                   targets_T + (layout.num_base - layout.first_added()), columns_T);
}

/// What all blocks leave of a chunk's logits.
struct Chunk {
  Parts base, all;  ///< of all base rows; of those that are not displaced, added ones and padding
  at::Tensor target_C;
};

/// A block's base rows that are not displaced: those in front of the displaced ones, and behind.
Parts kept_parts(const at::Tensor& logits_CN, const at::Tensor& whole_C, int64_t first,
                 const RowLayout& layout) {
  const int64_t end = first + logits_CN.size(1);
  const int64_t end_front = std::clamp(layout.first_added(), first, end);
  const int64_t begin_behind = std::clamp(layout.end_displaced(), first, end);
  if (layout.num_displaced() == 0 || end_front == end || begin_behind == first) return {whole_C};
  Parts parts;
  if (end_front > first) {
    parts.push_back(log_sum_exp(logits_CN.narrow(1, 0, end_front - first)));
  }
  if (begin_behind < end) {
    parts.push_back(log_sum_exp(logits_CN.narrow(1, begin_behind - first, end - begin_behind)));
  }
  return parts;
}

Chunk score(const at::Tensor& hidden_CD, const at::Tensor& targets_C, const SplitRows& head) {
  const RowLayout layout = head.layout();
  const int64_t num_padding = layout.placement.num_padding;
  Chunk chunk;
  Picked target(columns_of(targets_C, layout));
  Picked copied(at::full_like(targets_C, layout.placement.padding_row));
  const int64_t step = block_on(hidden_CD).rows;
  for (int64_t first = 0; first < layout.num_base; first += step) {
    const int64_t count = std::min(step, layout.num_base - first);
    const auto logits_CN = linear_product(hidden_CD, head.base.narrow(0, first, count));
    target.look(logits_CN, first);
    if (num_padding > 0) copied.look(logits_CN, first);
    chunk.base.push_back(log_sum_exp(logits_CN));
    for (const auto& part : kept_parts(logits_CN, chunk.base.back(), first, layout)) {
      chunk.all.push_back(part);
    }
  }
  if (head.added.defined()) {
    const auto logits_Cv = added_product(hidden_CD, head.added);
    target.look(logits_Cv, layout.num_base);
    chunk.all.push_back(log_sum_exp(logits_Cv));
  }
  if (num_padding > 0) {
    chunk.all.push_back(copied.logits_C() + std::log(static_cast<double>(num_padding)));
  }
  chunk.target_C = target.logits_C();
  return chunk;
}

/// @param targets_C -1 where nothing is to be scored.
at::Tensor nll_of(const Parts& parts, const at::Tensor& target_C, const at::Tensor& targets_C) {
  return (log_sum_exp_of(parts) - target_C).masked_fill_(targets_C < 0, 0);
}

/// Calls each(tokens, chunk), `tokens` narrowing what has one entry a token.
template <class Each>
void for_chunks(const at::Tensor& hidden_TD, const at::Tensor& targets_T, const SplitRows& head,
                const Each& each) {
  const int64_t step = block_on(hidden_TD).tokens;
  for (int64_t first = 0; first < hidden_TD.size(0); first += step) {
    const int64_t count = std::min(step, hidden_TD.size(0) - first);
    const auto tokens = [=](const at::Tensor& of_T) { return of_T.narrow(0, first, count); };
    each(tokens, score(tokens(hidden_TD), tokens(targets_T), head));
  }
}

}  // namespace

void check_targets(const at::Tensor& targets_T, int64_t num_rows) {
  if (targets_T.numel() == 0 || targets_T.max().item<int64_t>() < num_rows) return;
  throw ConfigError("targets", "a target id has no row in the output head")
      .expected(concat("below ", num_rows))
      .found(concat(targets_T.max().item<int64_t>()))
      .hint("with the added rows masked, text must be encoded with the base's tokenizer");
}

at::Tensor token_nll(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                     const SplitRows& head, bool mask_added) {
  if (mask_added) return token_nll(hidden_TD, targets_T, {head.base, {}, {}});
  at::NoGradGuard no_grad;
  check_targets(targets_T, head.layout().num_rows());
  const auto here_T = sent_to(hidden_TD.device(), targets_T);
  auto nll_T = at::zeros(here_T.sizes(), here_T.options().dtype(at::kDouble));
  for_chunks(hidden_TD, here_T, head, [&](const auto& tokens, const Chunk& chunk) {
    tokens(nll_T).copy_(nll_of(chunk.all, chunk.target_C, tokens(here_T)));
  });
  return nll_T;
}

TokenNll token_nll_both_ways(const at::Tensor& hidden_TD, const at::Tensor& targets_T,
                             const SplitRows& head) {
  at::NoGradGuard no_grad;
  check_targets(targets_T, head.layout().num_rows());
  const auto here_T = sent_to(hidden_TD.device(), targets_T);
  const auto old_T = here_T.masked_fill(has_no_base_row(here_T, head.layout()), -1);
  const auto options = here_T.options().dtype(at::kDouble);
  TokenNll nll{at::zeros(here_T.sizes(), options), at::zeros(here_T.sizes(), options)};
  for_chunks(hidden_TD, here_T, head, [&](const auto& tokens, const Chunk& chunk) {
    tokens(nll.all_T).copy_(nll_of(chunk.all, chunk.target_C, tokens(here_T)));
    tokens(nll.masked_T).copy_(nll_of(chunk.base, chunk.target_C, tokens(old_T)));
  });
  return nll;
}

}  // namespace polygraft::model
