// tokenizer/merge_table.h: the merges of a BPE model, looked up by pair of token ids.
// One flat open-addressing table: a lookup is one hash and, nearly always, one cache line. Most
// lookups find nothing, which a bit for each hash, in a table that fits the cache, tells first.
#pragma once
#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// What a pair of adjacent tokens becomes. Lower ranks are merged first.
struct Merge {
  uint32_t rank = kNoRank;
  TokenId result = -1;
  static constexpr uint32_t kNoRank = UINT32_MAX;
  explicit operator bool() const { return rank != kNoRank; }
};

inline uint64_t pair_key(TokenId left, TokenId right) {
  return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) | static_cast<uint32_t>(right);
}

/// Fibonacci hashing on the mixed key; the table takes the upper bits.
inline uint64_t mix_key(uint64_t key) {
  key ^= key >> 29;
  return key * 0x9E3779B97F4A7C15ull;
}

/// For unordered tables of pair_key(), whose own hash would be the key.
struct MixedHash {
  size_t operator()(uint64_t key) const { return mix_key(key); }
};

class MergeTable {
 public:
  MergeTable() { resize(16); }

  /// A later merge of the same pair replaces the earlier one, as in the reference.
  void insert(TokenId left, TokenId right, Merge merge) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    Slot& slot = slots_[locate(pair_key(left, right))];
    if (slot.key == kEmpty) ++size_;
    slot = {pair_key(left, right), merge};
    note(slot.key);
  }
  Merge find(TokenId left, TokenId right) const {
    const uint64_t key = pair_key(left, right);
    const uint64_t bit = bit_of(key);
    if ((present_[bit / 64] >> (bit % 64) & 1) == 0) return {};
    return slots_[locate(key)].merge;
  }
  size_t size() const { return size_; }
  /// Calls visit(left, right, merge) for every merge, in no particular order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.key == kEmpty) continue;
      visit(static_cast<TokenId>(slot.key >> 32), static_cast<TokenId>(slot.key), slot.merge);
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;  // no pair of valid ids has this key
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static constexpr int kBitsPerSlotLog2 = 3;

  uint64_t bit_of(uint64_t key) const { return mix_key(key) >> (shift_ - kBitsPerSlotLog2); }
  void note(uint64_t key) {
    const uint64_t bit = bit_of(key);
    present_[bit / 64] |= uint64_t{1} << (bit % 64);
  }
  size_t locate(uint64_t key) const {
    size_t index = mix_key(key) >> shift_;
    while (slots_[index].key != key && slots_[index].key != kEmpty) {
      index = (index + 1) & (slots_.size() - 1);
    }
    return index;
  }
  void resize(size_t num_slots) {
    slots_.assign(num_slots, {});
    present_.assign((num_slots << kBitsPerSlotLog2) / 64, 0);
    shift_ = 64;
    for (size_t n = num_slots; n > 1; n /= 2) --shift_;
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    resize(2 * old.size());
    for (const Slot& slot : old) {
      if (slot.key == kEmpty) continue;
      slots_[locate(slot.key)] = slot;
      note(slot.key);
    }
  }

  std::vector<Slot> slots_;
  std::vector<uint64_t> present_;  ///< the bits of the hashes of all keys
  size_t size_ = 0;
  int shift_ = 64;
};

}  // namespace polygraft::tokenizer
