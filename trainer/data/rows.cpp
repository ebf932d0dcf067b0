// trainer/data/rows.cpp: see rows.h.
#include "trainer/data/rows.h"

#include <algorithm>

#include "model/architecture/upload.h"
namespace polygraft::trainer {

std::vector<Row> cut_rows(const TokenShard& shard, int64_t num_documents, int64_t sequence_length) {
  std::vector<Row> rows;
  for (int64_t document = 0; document < num_documents; ++document) {
    const int64_t first = shard.first_token(document);
    const int64_t end = first + shard.document_tokens(document);
    for (int64_t start = first; start < end; start += sequence_length) {
      const int64_t length = std::min(sequence_length, end - start);
      Row row(shard.ids().data() + start, static_cast<size_t>(length));
      if (start > first) row.before = shard.ids()[static_cast<size_t>(start - 1)];
      rows.push_back(row);
    }
  }
  return rows;
}

int64_t num_tokens(std::span<const Row> rows) {
  int64_t sum = 0;
  for (const Row& row : rows) sum += static_cast<int64_t>(row.size());
  return sum;
}

int64_t num_inputs(const Row& row) {
  const size_t quoted = row.quotation ? row.quotation->ids.size() : 0;
  return static_cast<int64_t>(quoted + row.size());
}

at::Tensor TokenBatch::predicting(const at::Tensor& x_T) const {
  return predicting_P.defined() ? x_T.index_select(0, model::sent_to(x_T.device(), predicting_P))
                                : x_T;
}

at::Tensor TokenBatch::predicts_T() const {
  const at::Tensor ones_T = at::ones_like(inputs.ids_T, at::kFloat);
  return predicting_P.defined() ? at::zeros_like(ones_T).index_fill_(0, predicting_P, 1) : ones_T;
}

TokenBatch make_batch(std::span<const Row> rows, tokenizer::TokenId prefix, Reader reader) {
  std::vector<int64_t> ids, targets, predicting, first;
  TokenBatch batch;
  for (const Row& row : rows) {
    const size_t begin = ids.size();
    first.push_back(static_cast<int64_t>(begin));
    ids.push_back(row.before.value_or(prefix));
    if (row.quotation) {
      const Quotation& quotation = *row.quotation;
      const auto& quoted = reader == Reader::kBase ? quotation.base_ids : quotation.ids;
      ids.insert(ids.end(), quoted.begin(), quoted.end());
    }
    for (size_t i = 0; i < row.size(); ++i)
      predicting.push_back(static_cast<int64_t>(ids.size() - 1 + i));
    ids.insert(ids.end(), row.begin(), row.end() - 1);
    targets.insert(targets.end(), row.begin(), row.end());
    batch.inputs.lengths.push_back(static_cast<int64_t>(ids.size() - begin));
  }
  batch.inputs.ids_T = at::tensor(ids, at::kLong);
  batch.targets_P = at::tensor(targets, at::kLong);
  batch.is_first_T = at::zeros({static_cast<int64_t>(ids.size())}, at::kBool);
  batch.is_first_T.index_fill_(0, at::tensor(first, at::kLong), true);
  if (predicting.size() < ids.size()) batch.predicting_P = at::tensor(predicting, at::kLong);
  return batch;
}

}  // namespace polygraft::trainer
