// trainer/data/rows.h: documents cut into rows, and rows laid out as a batch of the model.
// A row never crosses a document, so attention needs no mask beyond the sequence boundaries of
// model::Batch, and no position is padding. Every token of a document is predicted exactly once: n
// tokens x_1..x_n make the inputs BOS, x_1..x_{n-1} and the targets x_1..x_n; BOS itself is never a
// target. A row that begins a document is conditioned on the tokenizer's prefix (BOS), one that
// continues it on the token before, as in scoring (eval/windows.h): whatever token stands first, a
// model may make its attention sink of it, and a row that is always led by BOS would never show
// that. Legend: T tokens of the batch.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/architecture/transformer.h"
#include "tokenizer/tokenizer.h"
#include "trainer/data/shard.h"

namespace polygraft::trainer {

/// The targets of one row, in the mapped shard; the shard must outlive it.
struct Row : std::span<const int32_t> {
  using span::span;
  std::optional<int32_t> before = {};  ///< the document's token before them; empty at its beginning
};

/// Rows of the first `num_documents` documents. A longer document becomes rows of exactly
/// sequence_length and one remainder: rows of one length share an attention call.
std::vector<Row> cut_rows(const TokenShard& shard, int64_t num_documents, int64_t sequence_length);

int64_t num_tokens(std::span<const Row> rows);

struct TokenBatch {
  model::Batch inputs;
  at::Tensor targets_T;   ///< int64, every position is scored
  at::Tensor is_first_T;  ///< bool, the BOS positions
};
TokenBatch make_batch(std::span<const Row> rows, tokenizer::TokenId prefix);

}  // namespace polygraft::trainer
