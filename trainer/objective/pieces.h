// trainer/objective/pieces.h: a step's rows cut into pieces, each of which goes through the model
// at once.
#pragma once
#include <cstdint>
#include <vector>

#include "trainer/data/rows.h"

namespace polygraft::trainer {

struct StepRows {
  std::vector<Row> learned, replayed;
};

/// Rows that go through the model together; learned ones first.
struct Piece {
  StepRows rows;
  int64_t num_learned = 0, num_replayed = 0;  ///< targets
};

/// Pieces of at most `most_tokens` inputs, or as the longest row where that is longer: as few of
/// them as dealing finds, and about equal, since ranks that have one each wait for the slowest.
/// Rows go to the piece that has least, longest first (LPT; Graham 1969): the replayed ones before
/// the learned ones, so that each piece has its part of those, too, which cost a forward pass more.
/// In a piece rows keep their order. The number of ranks has no say: it must not decide a step's
/// bits.
/// @param most_tokens 0: one piece.
std::vector<Piece> cut_pieces(const StepRows& rows, int64_t most_tokens);

}  // namespace polygraft::trainer
