// expand/language_mark.h: one vector added to the input row of every new token, by which the layers
// above can tell the language. Old text holds no new token (the segmentation guard), so that
// nothing of it carries the mark; the frozen attention spreads it to the tokens that follow, old
// ones too, whose own states hardly say which of two near languages they stand in. A language
// embedding, as of Conneau & Lample 2019 (arXiv 1901.07291), without an input of its own: it is
// folded into rows. Legend: D model width, v new vocabulary rows, L layers with new experts, T
// tokens.
#pragma once
#include <ATen/ATen.h>

#include <functional>
#include <vector>

#include "expand/sequences.h"
#include "model/architecture/transformer.h"
#include "model/parallel/team.h"

namespace polygraft::expand {

/// About so many tokens of each side make a step.
constexpr int64_t kMarkBatchTokens = 1024;

struct MarkOptions {
  int64_t steps = 240;             ///< of Adam, of kMarkBatchTokens of new text and as many of old
  double prediction_weight = 0.3;  ///< lambda
};

struct LanguageMark {
  at::Tensor mark_D;  ///< float32
  /// Cost of telling the languages apart, nats a token: mean of the first and of the last quarter
  /// of the steps. Knowing nothing costs log 2.
  double first_cost = 0, last_cost = 0;
};

/// What the mark is added to, and what is to tell by it.
struct MarkedModel {
  const model::Transformer& base;
  /// The base with these rows [v, D] as the input rows of new tokens; differentiable in them.
  std::function<model::Transformer(const at::Tensor& rows_vD)> with_input_rows;
  at::Tensor start_vD;          ///< the rows without a mark
  int64_t num_old_tokens = 0;   ///< ids from here on are new
  std::vector<int64_t> layers;  ///< whose routers are to tell the languages apart
};

/// Text of either side, gone through in order, again and again.
struct MarkTexts {
  std::vector<Sequence> of_new, of_old;
};

/// Minimises by Adam, over the mark m (rows are start + m) and a linear reader (a_l, b_l) of every
/// layer's router input u, with z_l = a_l . u / rms(u) + b_l:
///   mean_l [ mean_new softplus(-z_l) + mean_old softplus(z_l) ] + lambda CE_new,
/// CE_new the base's cross-entropy of the new text's old tokens, which keeps the mark from spoiling
/// what the frozen weights compute. A sequence's first position does not count as new text.
/// Deterministic.
/// @param team shares out each step's batches; the mark is the same on all.
/// @throws NumericError when the mark does not stay finite.
LanguageMark fit_language_mark(const MarkedModel& marked, const MarkTexts& texts,
                               const MarkOptions& options, const parallel::Team& team = {});

}  // namespace polygraft::expand
