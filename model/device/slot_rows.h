// model/device/slot_rows.h: from tokens to rows and back.
//   GatherRows   to[row] = from[token_of_row[row]], of all rows or of the first so many
//   SumSlots     out[t] = sum_k weight[t, k] * rows[row_of_slot[t, k]], in slot order
// Each is the other's backward: d rows = d out gathered (the weight comes in later, swiglu.h), d
// from = the sum of slots without weights. One thread adds an element up, in float32: no atomics,
// and the same bits every time. Legend: T tokens, K experts of a token, R = T K rows, D width.
#pragma once
#include "model/device/number.h"

namespace polygraft::device {

struct GatherRows {
  static constexpr int kThreads = 128, kPhases = 1;
  struct Shared {};

  View<const Lanes> from_TD;
  View<const int32_t> token_of_row;
  View<const int32_t> num_wanted;  // [1], rows; empty: all. Other rows are left as they are
  View<Lanes> to_RD;
  int64_t width_lanes = 0;  // D / kLanes

  POLYGRAFT_BODY int64_t num_blocks() const { return token_of_row.size; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    if (!num_wanted.is_empty() && at.block >= num_wanted.read(0)) return;
    const int64_t from = token_of_row.read(at.block) * width_lanes;
    const int64_t to = at.block * width_lanes;
    for (int64_t i = at.thread; i < width_lanes; i += kThreads) {
      to_RD.write(to + i, from_TD.read(from + i));
    }
  }
};

struct SumSlots {
  static constexpr int kThreads = 128, kPhases = 1;
  struct Shared {};

  View<const Lanes> rows_RD;
  View<const int32_t> row_of_slot;
  View<const float> weight_TK;  // empty: all are one
  View<Lanes> out_TD;
  int64_t width_lanes = 0;  // D / kLanes
  int32_t top_k = 1;

  POLYGRAFT_BODY int64_t num_blocks() const { return row_of_slot.size / top_k; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    for (int64_t i = at.thread; i < width_lanes; i += kThreads) {
      Floats sum{};
      for (int64_t slot = at.block * top_k; slot < (at.block + 1) * top_k; ++slot) {
        const float weight = weight_TK.is_empty() ? 1.0f : weight_TK.read(slot);
        const Floats row = to_floats(rows_RD.read(row_of_slot.read(slot) * width_lanes + i));
        for (int lane = 0; lane < kLanes; ++lane) sum.values[lane] += weight * row.values[lane];
      }
      out_TD.write(at.block * width_lanes + i, to_lanes(sum));
    }
  }
};

}  // namespace polygraft::device
