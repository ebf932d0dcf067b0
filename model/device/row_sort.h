// model/device/row_sort.h: a counting sort of slots (token, k) by expert, stable in slot order,
// whose counts never leave the device. Three bodies, four launches:
//   CountSlots      chunk_count[g, c] = slots of group g in chunk c
//   ExclusiveScan   over the chunks of each group, then over the groups
//   PlaceSlots      row of a slot = first_row[g] + chunk_offset[g, c] + its place in the chunk
// Groups are experts, the added ones first: group g = id - E for added, n + id for base experts. So
// the rows of the experts that train begin at row 0, where a grouped product's offsets begin.
// Reference: model/architecture/sorted_slots.h (experts in the order of their ids). Legend: R slots
// and rows (T tokens, K each), E base experts, n added experts, C chunks.
#pragma once
#include "model/device/view.h"

namespace polygraft::device {

/// How expert ids become groups.
struct Groups {
  int32_t num_base = 0, num_added = 0;

  POLYGRAFT_BODY int32_t count() const { return num_base + num_added; }
  POLYGRAFT_BODY int32_t of_expert(int32_t id) const {
    return id < num_base ? id + num_added : id - num_base;
  }
};

constexpr int kSlotsPerChunk = 256;

struct CountSlots {
  static constexpr int kThreads = kSlotsPerChunk, kPhases = 2;
  struct Shared {
    SharedArray<int32_t, kSlotsPerChunk> group;
  };

  View<const int32_t> expert_R;
  View<int32_t> chunk_count_GC;
  Groups groups;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(expert_R.size, kSlotsPerChunk); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    if constexpr (Phase == 0) {
      const int64_t slot = at.block * kSlotsPerChunk + at.thread;
      shared.group.write(at.thread,
                         slot < expert_R.size ? groups.of_expert(expert_R.read(slot)) : -1);
    } else {
      for (int32_t group = at.thread; group < groups.count(); group += kThreads) {
        int32_t count = 0;
        for (int i = 0; i < kSlotsPerChunk; ++i) count += shared.group.read(i) == group ? 1 : 0;
        chunk_count_GC.write(group * num_blocks() + at.block, count);
      }
    }
  }
};

/// out[r, i] = in[r, 0] + .. + in[r, i - 1]; total[r] = the whole row's sum. `out` may be `in`.
struct ExclusiveScan {
  static constexpr int kThreads = 256, kPhases = 2;
  struct Shared {
    SharedArray<int32_t, kThreads> sum;
  };

  View<const int32_t> in;
  View<int32_t> out;
  View<int32_t> total;  // one for each row
  int64_t row_size = 0;

  POLYGRAFT_BODY int64_t num_blocks() const { return total.size; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    const int64_t share = blocks_of(row_size, kThreads);  // neighbours, for each thread
    const int64_t row = at.block * row_size;
    const int64_t begin =
        row + at.thread * share < row + row_size ? row + at.thread * share : row + row_size;
    const int64_t end = begin + share < row + row_size ? begin + share : row + row_size;
    int32_t sum = 0;
    if constexpr (Phase == 0) {
      for (int64_t i = begin; i < end; ++i) sum += in.read(i);
      shared.sum.write(at.thread, sum);
    } else {
      for (int thread = 0; thread < at.thread; ++thread) sum += shared.sum.read(thread);
      for (int64_t i = begin; i < end; ++i) {
        const int32_t value = in.read(i);
        out.write(i, sum);
        sum += value;
      }
      if (at.thread == kThreads - 1) total.write(at.block, sum);
    }
  }
};

struct PlaceSlots {
  static constexpr int kThreads = kSlotsPerChunk, kPhases = 2;
  struct Shared {
    SharedArray<int32_t, kSlotsPerChunk> group;
  };

  View<const int32_t> expert_R;
  View<const int32_t> chunk_offset_GC, first_row_G;
  View<int32_t> row_of_slot, slot_of_row, token_of_row;
  Groups groups;
  int32_t top_k = 1;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(expert_R.size, kSlotsPerChunk); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    const int64_t slot = at.block * kSlotsPerChunk + at.thread;
    if (slot >= expert_R.size) return;
    if constexpr (Phase == 0) {
      shared.group.write(at.thread, groups.of_expert(expert_R.read(slot)));
    } else {
      const int32_t group = shared.group.read(at.thread);
      int32_t row = first_row_G.read(group) + chunk_offset_GC.read(group * num_blocks() + at.block);
      for (int i = 0; i < at.thread; ++i) row += shared.group.read(i) == group ? 1 : 0;
      row_of_slot.write(slot, row);
      slot_of_row.write(row, static_cast<int32_t>(slot));
      token_of_row.write(row, static_cast<int32_t>(slot / top_k));
    }
  }
};

}  // namespace polygraft::device
