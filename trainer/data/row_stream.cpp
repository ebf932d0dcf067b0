// trainer/data/row_stream.cpp: see row_stream.h.
#include "trainer/data/row_stream.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "core/text.h"

namespace polygraft::trainer {

Json StreamPosition::to_json() const {
  return {{"epoch", epoch}, {"next_row", next_row}, {"owed_tokens", owed_tokens}};
}

StreamPosition StreamPosition::from_json(const Json& json, const fs::path& file) {
  return {json_get<int64_t>(json, "epoch", file), json_get<int64_t>(json, "next_row", file),
          json_get<int64_t>(json, "owed_tokens", file)};
}

RowStream::RowStream(std::string name, std::vector<TokenShard> shards, std::vector<Row> rows,
                     uint64_t seed)
    : name_(std::move(name)), shards_(std::move(shards)), rows_(std::move(rows)), seed_(seed) {
  if (rows_.empty()) {
    throw ConfigError(name_, "has no training text once the probe's documents are held back");
  }
  order_epoch();
}

void RowStream::order_epoch() {
  RandomStream random(seed_, concat("epoch ", position_.epoch, " of ", name_));
  order_ = random.permutation(static_cast<int64_t>(rows_.size()));
}

std::vector<Row> RowStream::take(int64_t granted_tokens) {
  position_.owed_tokens += granted_tokens;
  std::vector<Row> taken;
  while (true) {
    const auto length = static_cast<int64_t>(next().size());
    if (length > position_.owed_tokens && !taken.empty()) break;
    taken.push_back(pop());
    position_.owed_tokens -= length;
  }
  sort_longest_first(taken);
  return taken;
}

const Row& RowStream::next() const {
  const auto index = static_cast<size_t>(position_.next_row);
  return rows_[static_cast<size_t>(order_[index])];
}

Row RowStream::pop() {
  const Row row = next();
  if (++position_.next_row == static_cast<int64_t>(rows_.size())) {
    ++position_.epoch;
    position_.next_row = 0;
    order_epoch();
  }
  return row;
}

void sort_longest_first(std::vector<Row>& rows) {
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Row& a, const Row& b) { return a.size() > b.size(); });
}

void RowStream::seek(const StreamPosition& position) {
  if (position.epoch < 0 || position.next_row < 0 ||
      position.next_row >= static_cast<int64_t>(rows_.size())) {
    throw ConfigError(name_, "the checkpoint's position lies outside the training text")
        .expected(concat("a row below ", rows_.size()))
        .found(concat("row ", position.next_row, " of epoch ", position.epoch));
  }
  position_ = position;
  order_epoch();
}

}  // namespace polygraft::trainer
