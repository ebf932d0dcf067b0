// model/device/column_sum.h: out[c] = sum over rows r of in[r, c], float32, in a fixed order: eight
// threads take every eighth row each, and their sums are halved. What blocks of other bodies leave
// as one row each (router.h) becomes one number a column.
#pragma once
#include "model/device/view.h"

namespace polygraft::device {

struct ColumnSum {
  static constexpr int kColumns = 32, kRowThreads = 8;
  static constexpr int kThreads = kColumns * kRowThreads, kPhases = 1 + halvings(kRowThreads);
  struct Shared {
    SharedArray<float, kThreads> sum;  // of row thread r and column c at r kColumns + c
  };

  View<const float> in;
  View<float> out;  // one for each column
  int64_t num_rows = 0;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(out.size, kColumns); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    const int64_t column = at.block * kColumns + at.thread % kColumns;
    if constexpr (Phase == 0) {
      float sum = 0;
      if (column < out.size) {
        for (int64_t row = at.thread / kColumns; row < num_rows; row += kRowThreads) {
          sum += in.read(row * out.size + column);
        }
      }
      shared.sum.write(at.thread, sum);
    } else {
      halve<Phase>(shared.sum, at.thread);
      if (Phase == kPhases - 1 && at.thread < kColumns && column < out.size) {
        out.write(column, shared.sum.read(at.thread));
      }
    }
  }
};

}  // namespace polygraft::device
