// model/checkpoint/row_layout.h: where a vocabulary's base, added and padding rows stand in the
// stored matrix. A token's id is its row, and ids are to be contiguous, so added rows follow the
// base's last token: they take the places of spare base rows, which no token uses, before the
// matrix grows. Stored order, with V base rows, T of them before the first added row, v added, d =
// min(v, V - T) displaced: base [0, T), added [0, v), base [T + d, V), padding.
#pragma once
#include <algorithm>
#include <cstdint>

namespace polygraft::model {

/// What a count of base and added rows does not tell.
struct RowPlacement {
  int64_t num_spare = 0;    ///< V - T: base rows from which on added rows take the places
  int64_t num_padding = 0;  ///< rows behind all others that no token uses: untrained copies
  int64_t padding_row = 0;  ///< the base row that they copy; below T
};

struct RowLayout {
  int64_t num_base = 0;   ///< V
  int64_t num_added = 0;  ///< v
  RowPlacement placement;

  int64_t first_added() const { return num_base - placement.num_spare; }  ///< T
  /// d: base rows whose places added rows have taken, from T on.
  int64_t num_displaced() const { return std::min(num_added, placement.num_spare); }
  int64_t end_displaced() const { return first_added() + num_displaced(); }
  /// Base rows behind the added ones; with none left the matrix has grown.
  int64_t num_behind() const { return num_base - end_displaced(); }
  int64_t first_padding() const { return first_added() + num_added + num_behind(); }
  int64_t num_rows() const { return first_padding() + placement.num_padding; }
};

}  // namespace polygraft::model
