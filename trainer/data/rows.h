// trainer/data/rows.h: documents cut into rows, and rows laid out as a batch of the model.
// A row never crosses a document, so attention needs no mask beyond the sequence boundaries of
// model::Batch, and no position is padding. Every token of a document is predicted exactly once: n
// tokens x_1..x_n make the inputs BOS, x_1..x_{n-1} and the targets x_1..x_n; BOS itself is never a
// target. A row that begins a document is conditioned on the tokenizer's prefix (BOS), one that
// continues it on the token before, as in scoring (eval/windows.h): whatever token stands first, a
// model may make its attention sink of it, and a row that is always led by BOS would never show
// that. A quotation (quotations.h) is read before a row and predicted by nothing.
// Legend: T positions of the batch, P those that predict a target; without quotations the same.
#pragma once
#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/architecture/transformer.h"
#include "tokenizer/tokenizer.h"
#include "trainer/data/shard.h"

namespace polygraft::trainer {

/// The same text for two readers.
struct Quotation {
  std::vector<int32_t> ids;
  std::vector<int32_t> base_ids;  ///< in the base's own tokens
};

/// The targets of one row, in the mapped shard; the shard must outlive it.
struct Row : std::span<const int32_t> {
  using span::span;
  std::optional<int32_t> before = {};  ///< the document's token before them; empty at its beginning
  std::shared_ptr<const Quotation> quotation = {};  ///< read before them
};

/// Rows of the first `num_documents` documents. A longer document becomes rows of exactly
/// sequence_length and one remainder: rows of one length share an attention call.
std::vector<Row> cut_rows(const TokenShard& shard, int64_t num_documents, int64_t sequence_length);

/// Targets, of all rows.
int64_t num_tokens(std::span<const Row> rows);
/// Positions that a row takes in a batch.
int64_t num_inputs(const Row& row);

struct TokenBatch {
  model::Batch inputs;
  at::Tensor targets_P;     ///< int64
  at::Tensor is_first_T;    ///< bool, each row's first position
  at::Tensor predicting_P;  ///< int64, the positions that predict; undefined: all do

  /// The predicting positions of what a model makes of the batch; @param x_T [T, ...].
  at::Tensor predicting(const at::Tensor& x_T) const;
  at::Tensor predicts_T() const;  ///< float32: 1 where a position predicts, otherwise 0
};

enum class Reader { kExpanded, kBase };
TokenBatch make_batch(std::span<const Row> rows, tokenizer::TokenId prefix,
                      Reader reader = Reader::kExpanded);

}  // namespace polygraft::trainer
