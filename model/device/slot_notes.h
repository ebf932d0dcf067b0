// model/device/slot_notes.h: which tokens go to which rank of an expert-parallel group, and what
// each slot (token, k) says of itself there. Slots are sorted by group (row_sort.h), groups being
// experts in the order of the ranks that have them; a token goes once to a rank with any of its
// experts, in the order of tokens.
//   MarkTokens   is_sent[p, t] = 1 when token t has an expert of rank p
//   (ExclusiveScan over each rank's row, then over the ranks: place[p, t] and first_token[p])
//   WriteNotes   note[row of slot] = {place[p, t], weight}
//                token_of_sent[first_token[p] + place[p, t]] = t
//   ReadNotes    of slots that came: token among those that came, expert, weight
//
// Reference: exchange_plan.cpp (model/architecture), where a rank's tokens come in the order of
// their first rows instead. Legend: T tokens, K slots of each, R = T K; N groups, P ranks, n
// experts of this rank, S slots that came.
#pragma once
#include "model/device/view.h"

namespace polygraft::device {

/// A slot as the rank of its expert sees it.
struct SlotNote {
  int32_t token = 0;  ///< among those that came from the same rank
  float weight = 0;
};

/// Slots by token, and whose expert each has chosen.
struct RankedSlots {
  View<const int32_t> group_R;
  View<const int32_t> rank_of_group_N;
  int32_t top_k = 1;

  POLYGRAFT_BODY int64_t num_tokens() const { return group_R.size / top_k; }
  POLYGRAFT_BODY int32_t rank(int64_t slot) const {
    return rank_of_group_N.read(group_R.read(slot));
  }
  /// Whether one of the token's slots [token K, end) goes to `rank`.
  POLYGRAFT_BODY bool goes_to(int32_t rank, int64_t token, int64_t end) const {
    for (int64_t slot = token * top_k; slot < end; ++slot) {
      if (this->rank(slot) == rank) return true;
    }
    return false;
  }
};

struct MarkTokens {
  static constexpr int kThreads = 256, kPhases = 1;
  struct Shared {};

  RankedSlots slots;
  View<int32_t> is_sent_PT;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(is_sent_PT.size, kThreads); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    const int64_t i = at.block * kThreads + at.thread;
    if (i >= is_sent_PT.size) return;
    const int64_t token = i % slots.num_tokens();
    const auto rank = static_cast<int32_t>(i / slots.num_tokens());
    is_sent_PT.write(i, slots.goes_to(rank, token, (token + 1) * slots.top_k) ? 1 : 0);
  }
};

struct WriteNotes {
  static constexpr int kThreads = 256, kPhases = 1;
  struct Shared {};

  RankedSlots slots;
  View<const float> weight_R;
  View<const int32_t> row_of_slot, place_PT, first_token_P;
  View<SlotNote> note_R;
  View<int32_t> token_of_sent;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(slots.num_tokens(), kThreads); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    const int64_t token = at.block * kThreads + at.thread;
    if (token >= slots.num_tokens()) return;
    for (int64_t slot = token * slots.top_k; slot < (token + 1) * slots.top_k; ++slot) {
      const int32_t rank = slots.rank(slot);
      const int32_t place = place_PT.read(rank * slots.num_tokens() + token);
      note_R.write(row_of_slot.read(slot), {place, weight_R.read(slot)});
      if (slots.goes_to(rank, token, slot)) continue;  // listed by an earlier slot
      token_of_sent.write(first_token_P.read(rank) + place, static_cast<int32_t>(token));
    }
  }
};

struct ReadNotes {
  static constexpr int kThreads = 256, kPhases = 1;
  struct Shared {};

  View<const SlotNote> note_S;
  View<const int32_t> first_slot_Pn;  // of each source's rows for each expert, ascending
  View<const int32_t> first_token_P;  // of each source
  View<int32_t> token_S, expert_S;
  View<float> weight_S;

  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(note_S.size, kThreads); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    const int64_t slot = at.block * kThreads + at.thread;
    if (slot >= note_S.size) return;
    const SlotNote note = note_S.read(slot);
    const int64_t run = run_of(slot), num_experts = first_slot_Pn.size / first_token_P.size;
    token_S.write(slot, first_token_P.read(run / num_experts) + note.token);
    expert_S.write(slot, static_cast<int32_t>(run % num_experts));
    weight_S.write(slot, note.weight);
  }

 private:
  /// The last run that begins at `slot` or before; those before it at the same place are empty.
  POLYGRAFT_BODY int64_t run_of(int64_t slot) const {
    int64_t first = 0, end = first_slot_Pn.size;
    while (end - first > 1) {
      const int64_t middle = first + (end - first) / 2;
      (first_slot_Pn.read(middle) <= slot ? first : end) = middle;
    }
    return first;
  }
};

}  // namespace polygraft::device
