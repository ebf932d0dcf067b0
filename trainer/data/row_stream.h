// trainer/data/row_stream.h: an endless, deterministic order of rows: each epoch is one permutation
// of all rows of all languages of the stream, drawn from (seed, epoch, stream name). Languages are
// thereby mixed in proportion to their size, and every row comes once an epoch.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "trainer/data/rows.h"

namespace polygraft::trainer {

/// Where a stream stands; all that a checkpoint needs to continue it.
struct StreamPosition {
  int64_t epoch = 0;
  int64_t next_row = 0;     ///< in the epoch's order
  int64_t owed_tokens = 0;  ///< granted by take() and not yet handed out, less than a row; negative
                            ///< after an overshoot

  Json to_json() const;
  static StreamPosition from_json(const Json& json, const fs::path& file);
};

class RowStream {
 public:
  /// @param shards keep the rows' bytes mapped. @throws ConfigError when there is no row.
  RowStream(std::string name, std::vector<TokenShard> shards, std::vector<Row> rows, uint64_t seed);

  /// The next rows, at least one, worth `granted_tokens` on average over the calls: what does not
  /// fit is owed to the next call. Longest first, so that rows of one length are neighbours.
  std::vector<Row> take(int64_t granted_tokens);

  /// The row that comes next, and the same taken out of the order: nothing is owed for it.
  const Row& next() const;
  Row pop();

  const std::vector<Row>& rows() const { return rows_; }
  const StreamPosition& position() const { return position_; }
  void seek(const StreamPosition& position);

 private:
  void order_epoch();

  std::string name_;
  std::vector<TokenShard> shards_;
  std::vector<Row> rows_;
  uint64_t seed_;
  StreamPosition position_;
  std::vector<int64_t> order_;
};

/// Rows of one length are then neighbours.
void sort_longest_first(std::vector<Row>& rows);

}  // namespace polygraft::trainer
