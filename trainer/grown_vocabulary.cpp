// trainer/grown_vocabulary.cpp: see grown_vocabulary.h.
#include "trainer/grown_vocabulary.h"

#include "core/error.h"
#include "core/text.h"
#include "expand/place_rows.h"
#include "expand/start_rows.h"
#include "tokenizer/base_view.h"

namespace polygraft::trainer {
namespace {

using tokenizer::TokenId;
using tokenizer::Tokenizer;

constexpr int64_t kNoPadding = 0;

void require_extension(const Tokenizer& own, const Tokenizer& extended) {
  const auto refuse = [](const std::string& found) {
    throw ConfigError("tokenizer", "it does not extend the model's own")
        .expected("the same tokens with others behind them")
        .found(found)
        .hint("`polygraft tokenizer extend` makes one");
  };
  if (extended.size() <= own.size()) {
    refuse(concat(extended.size(), " tokens, where the model's own has ", own.size()));
  }
  for (int64_t i = 0; i < own.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (own.token_bytes(id) != extended.token_bytes(id)) refuse(concat("another token ", i));
  }
}

void require_rows(const Tokenizer& own, int64_t num_rows) {
  if (num_rows >= own.size()) return;
  throw ConfigError("model", "it has fewer vocabulary rows than its tokenizer has tokens")
      .expected(concat("at least ", own.size(), " rows"))
      .found(concat(num_rows))
      .hint("new tokens follow the last old one, so that each of these must have a row");
}

}  // namespace

model::RowLayout grown_layout(const Tokenizer& own, const Tokenizer& extended, int64_t num_rows) {
  require_extension(own, extended);
  require_rows(own, num_rows);
  return expand::place_rows(num_rows, own.size(), extended.size() - own.size(), kNoPadding);
}

void grow_vocabulary(const Tokenizer& own, const Tokenizer& extended, model::ModelConfig& config,
                     model::Weights& weights) {
  const model::RowLayout layout = grown_layout(own, extended, config.vocab_rows);
  const expand::TokenParts parts =
      tokenizer::old_parts_of_added_tokens(extended, static_cast<TokenId>(own.size()));
  const expand::StartRows rows = expand::averaged_rows(weights, parts, "mean", !weights.tied);
  const auto add = [&](model::SplitRows& matrix, const at::Tensor& rows_vD) {
    matrix.added = rows_vD.to(weights.compute_dtype());
    matrix.placement = layout.placement;
  };
  add(weights.embedding, rows.input_vD);
  weights.tied ? void(weights.head = weights.embedding) : add(weights.head, rows.output_vD);
  config.vocab_rows = layout.num_rows();
}

}  // namespace polygraft::trainer
