// tests/trainer/pieces_test.cpp: a step's rows in pieces of about one size.
#include "trainer/objective/pieces.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace polygraft::trainer {
namespace {

/// Rows of these lengths, one after another in `ids`.
std::vector<Row> rows_of(const std::vector<size_t>& lengths, const std::vector<int32_t>& ids) {
  std::vector<Row> rows;
  size_t first = 0;
  for (const size_t length : lengths) {
    rows.emplace_back(ids.data() + first, length);
    first += length;
  }
  return rows;
}

std::vector<size_t> random_lengths(std::mt19937& random, size_t count, size_t longest) {
  std::uniform_int_distribution<size_t> length(1, longest);
  std::vector<size_t> lengths(count);
  for (size_t& each : lengths) each = length(random);
  return lengths;
}

int64_t tokens_of(const Piece& piece) { return piece.num_learned + piece.num_replayed; }

/// Where rows begin, piece by piece.
std::vector<const int32_t*> starts(const std::vector<Piece>& pieces,
                                   std::vector<Row> StepRows::*part) {
  std::vector<const int32_t*> found;
  for (const Piece& piece : pieces) {
    const std::vector<Row>& rows = piece.rows.*part;
    CHECK(std::is_sorted(rows.begin(), rows.end(),
                         [](const Row& a, const Row& b) { return a.data() < b.data(); }));
    for (const Row& row : rows) found.push_back(row.data());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<const int32_t*> starts(const std::vector<Row>& rows) {
  std::vector<const int32_t*> found;
  for (const Row& row : rows) found.push_back(row.data());
  return found;
}

TEST_CASE("pieces hold every row once, in order, and none too many tokens", "[trainer][pieces]") {
  std::mt19937 random(17);
  const std::vector<int32_t> ids(1 << 14, 0);
  for (int trial = 0; trial < 200; ++trial) {
    const StepRows rows{rows_of(random_lengths(random, random() % 40, 64), ids),
                        rows_of(random_lengths(random, random() % 10, 64), ids)};
    const auto most = static_cast<int64_t>(1 + random() % 300);
    const std::vector<Piece> pieces = cut_pieces(rows, most);
    CHECK(starts(pieces, &StepRows::learned) == starts(rows.learned));
    CHECK(starts(pieces, &StepRows::replayed) == starts(rows.replayed));
    int64_t longest = 0;
    for (const Row& row : rows.learned) longest = std::max(longest, num_tokens({&row, 1}));
    for (const Row& row : rows.replayed) longest = std::max(longest, num_tokens({&row, 1}));
    for (const Piece& piece : pieces) {
      CHECK(piece.num_learned == num_tokens(piece.rows.learned));
      CHECK(piece.num_replayed == num_tokens(piece.rows.replayed));
      CHECK(tokens_of(piece) <= std::max(most, longest));
      if (longest > 0) CHECK(tokens_of(piece) > 0);
    }
  }
}

TEST_CASE("pieces of a step are about equal", "[trainer][pieces]") {
  std::mt19937 random(3);
  const std::vector<int32_t> ids(1 << 14, 0);
  const StepRows rows{rows_of(random_lengths(random, 24, 256), ids),
                      rows_of(random_lengths(random, 8, 256), ids)};
  const std::vector<Piece> pieces = cut_pieces(rows, 1024);
  const int64_t total = num_tokens(rows.learned) + num_tokens(rows.replayed);
  REQUIRE(static_cast<int64_t>(pieces.size()) == (total + 1023) / 1024);
  for (const Piece& piece : pieces) {
    CHECK(static_cast<double>(tokens_of(piece)) >
          0.95 * static_cast<double>(total) / static_cast<double>(pieces.size()));
    CHECK(piece.num_replayed > 0);
  }
}

TEST_CASE("a step is one piece where no size is given", "[trainer][pieces]") {
  const std::vector<int32_t> ids(100, 0);
  const StepRows rows{rows_of({5, 9, 1}, ids), rows_of({7}, ids)};
  const std::vector<Piece> pieces = cut_pieces(rows, 0);
  REQUIRE(pieces.size() == 1);
  CHECK(starts(pieces, &StepRows::learned) == starts(rows.learned));
  CHECK(tokens_of(pieces[0]) == 22);
  CHECK(cut_pieces({}, 8).size() == 1);
}

}  // namespace
}  // namespace polygraft::trainer
