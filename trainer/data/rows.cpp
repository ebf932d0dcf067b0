// trainer/data/rows.cpp: see rows.h.
#include "trainer/data/rows.h"

#include <algorithm>

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

TokenBatch make_batch(std::span<const Row> rows, tokenizer::TokenId prefix) {
  const int64_t total = num_tokens(rows);
  TokenBatch batch;
  batch.inputs.ids_T = at::empty({total}, at::kLong);
  batch.targets_T = at::empty({total}, at::kLong);
  batch.is_first_T = at::zeros({total}, at::kBool);
  auto* ids = batch.inputs.ids_T.mutable_data_ptr<int64_t>();
  auto* targets = batch.targets_T.mutable_data_ptr<int64_t>();
  auto* is_first = batch.is_first_T.mutable_data_ptr<bool>();
  for (const Row& row : rows) {
    *ids = row.before.value_or(prefix);
    *is_first = true;
    std::copy(row.begin(), row.end() - 1, ids + 1);
    std::copy(row.begin(), row.end(), targets);
    ids += row.size();
    targets += row.size();
    is_first += row.size();
    batch.inputs.lengths.push_back(static_cast<int64_t>(row.size()));
  }
  return batch;
}

}  // namespace polygraft::trainer
