// trainer/objective/pieces.cpp: see pieces.h.
#include "trainer/objective/pieces.h"

#include <algorithm>
#include <numeric>

namespace polygraft::trainer {
namespace {

int64_t total_length(const std::vector<Row>& rows) {
  int64_t total = 0;
  for (const Row& row : rows) total += num_inputs(row);
  return total;
}

/// Which piece each row goes to. @param loads of the pieces, in tokens; raised by what they get.
std::vector<size_t> deal(const std::vector<Row>& rows, std::vector<int64_t>& loads) {
  std::vector<size_t> order(rows.size()), piece_of(rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return num_inputs(rows[a]) > num_inputs(rows[b]); });
  for (const size_t row : order) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += num_inputs(rows[row]);
    piece_of[row] = static_cast<size_t>(least - loads.begin());
  }
  return piece_of;
}

struct Dealt {
  std::vector<int64_t> loads;
  std::vector<size_t> learned, replayed;  ///< each row's piece
};

Dealt deal_into(size_t num_pieces, const StepRows& rows) {
  Dealt dealt;
  dealt.loads.resize(num_pieces);
  dealt.replayed = deal(rows.replayed, dealt.loads);
  dealt.learned = deal(rows.learned, dealt.loads);
  return dealt;
}

int64_t longest(const std::vector<Row>& rows) {
  int64_t most = 0;
  for (const Row& row : rows) most = std::max(most, num_inputs(row));
  return most;
}

Dealt deal_within(const StepRows& rows, int64_t most_tokens) {
  if (most_tokens == 0) return deal_into(1, rows);
  most_tokens = std::max({most_tokens, longest(rows.learned), longest(rows.replayed)});
  const int64_t total = total_length(rows.learned) + total_length(rows.replayed);
  auto num_pieces =
      static_cast<size_t>(std::max<int64_t>(1, (total + most_tokens - 1) / most_tokens));
  for (;; ++num_pieces) {
    Dealt dealt = deal_into(num_pieces, rows);
    if (*std::max_element(dealt.loads.begin(), dealt.loads.end()) <= most_tokens) return dealt;
  }
}

}  // namespace

std::vector<Piece> cut_pieces(const StepRows& rows, int64_t most_tokens) {
  const Dealt dealt = deal_within(rows, most_tokens);
  std::vector<Piece> pieces(dealt.loads.size());
  for (size_t i = 0; i < rows.learned.size(); ++i) {
    Piece& piece = pieces[dealt.learned[i]];
    piece.rows.learned.push_back(rows.learned[i]);
    piece.num_learned += static_cast<int64_t>(rows.learned[i].size());
  }
  for (size_t i = 0; i < rows.replayed.size(); ++i) {
    Piece& piece = pieces[dealt.replayed[i]];
    piece.rows.replayed.push_back(rows.replayed[i]);
    piece.num_replayed += static_cast<int64_t>(rows.replayed[i].size());
  }
  return pieces;
}

}  // namespace polygraft::trainer
