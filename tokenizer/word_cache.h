// tokenizer/word_cache.h: what frequent pieces were encoded to. One a thread, no locks. Two-way set
// associative with the words and ids inline, so that a hit touches one or two cache lines and a
// miss allocates nothing. Long words, which Indic and other scripts of three bytes a character
// make, have a table of their own.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/merge_table.h"

namespace polygraft::tokenizer {

/// One table of a WordCache: words of up to 8 * kBlocks bytes, padded with zeros.
template <size_t kBlocks, size_t kMostIds, int kSetBits>
class WordTable {
 public:
  static constexpr size_t kMostBytes = 8 * kBlocks;
  using Blocks = std::array<uint64_t, kBlocks>;

  struct alignas(64) Entry {
    Blocks blocks;
    std::array<TokenId, kMostIds> ids;
    uint8_t num_bytes = 0;  ///< 0: unused; no piece is empty
    uint8_t num_ids = 0;
  };

  WordTable() : entries_(size_t{2} << kSetBits) {}

  /// Appends the word's ids if they are known, else those that `encode(ids)` appends.
  template <class Encode>
  void append(std::string_view word, std::vector<TokenId>& ids, const Encode& encode) {
    const Blocks blocks = blocks_of(word);
    Entry* const set = &entries_[2 * (hash(blocks) >> (64 - kSetBits))];
    for (Entry* entry = set; entry < set + 2; ++entry) {
      if (entry->num_bytes != word.size() || entry->blocks != blocks) continue;
      for (size_t i = 0; i < entry->num_ids; ++i) ids.push_back(entry->ids[i]);
      return;
    }
    const size_t first = ids.size();
    encode(ids);
    const std::span<const TokenId> fresh(ids.data() + first, ids.size() - first);
    if (fresh.size() > kMostIds) return;
    set[1] = set[0];  // the newest stands first
    set[0].blocks = blocks;
    std::copy(fresh.begin(), fresh.end(), set[0].ids.begin());
    set[0].num_bytes = static_cast<uint8_t>(word.size());
    set[0].num_ids = static_cast<uint8_t>(fresh.size());
  }

 private:
  template <class Unsigned>
  static uint64_t load(const char* bytes) {
    Unsigned value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  /// The last `size` bytes below `end`, at most 8, of a word that has no fewer than 8.
  static uint64_t tail(const char* end, size_t size) {
    return size == 0 ? 0 : load<uint64_t>(end - 8) >> (8 * (8 - size));
  }
  /// Without a call of memcpy, whose length would be known only now.
  static uint64_t small(std::string_view word) {
    const size_t size = word.size();
    const char* const bytes = word.data();
    const auto byte = [&](size_t i) { return load<uint8_t>(bytes + i) << (8 * i); };
    if (size < 4) return byte(0) | byte(size / 2) | byte(size - 1);
    return load<uint32_t>(bytes) | (load<uint32_t>(bytes + size - 4) << (8 * (size - 4)));
  }
  static Blocks blocks_of(std::string_view word) {
    Blocks blocks{};
    if (word.size() < 8) {
      blocks[0] = small(word);
      return blocks;
    }
    const size_t whole = word.size() / 8;
    for (size_t i = 0; i < whole; ++i) blocks[i] = load<uint64_t>(word.data() + 8 * i);
    if (whole < kBlocks) blocks[whole] = tail(word.data() + word.size(), word.size() % 8);
    return blocks;
  }
  static uint64_t hash(const Blocks& blocks) {
    uint64_t state = 0;
    for (const uint64_t block : blocks) state = mix_key(state ^ block);
    return mix_key(state);
  }

  std::vector<Entry> entries_;
};

class WordCache {
 public:
  /// This thread's cache for a model. The few models used last keep theirs, so that comparing two
  /// tokenizers document by document does not empty them.
  static WordCache& of_model(uint64_t serial) {
    thread_local std::vector<Owned> caches;  // the one used last is at the end
    if (!caches.empty() && caches.back().serial == serial) return *caches.back().cache;
    const auto known = std::find_if(caches.begin(), caches.end(), [serial](const Owned& owned) {
      return owned.serial == serial;
    });
    if (known != caches.end()) {
      std::rotate(known, known + 1, caches.end());
    } else {
      if (caches.size() == kMostModels) caches.erase(caches.begin());
      caches.push_back({serial, std::make_unique<WordCache>()});
    }
    return *caches.back().cache;
  }

  /// Appends the piece's ids: known ones, or those that `encode(ids)` appends.
  template <class Encode>
  void append(std::string_view piece, std::vector<TokenId>& ids, const Encode& encode) {
    if (piece.size() <= Short::kMostBytes) {
      short_.append(piece, ids, encode);
    } else if (piece.size() <= Long::kMostBytes) {
      long_.append(piece, ids, encode);
    } else {
      encode(ids);
    }
  }

 private:
  using Short = WordTable<3, 9, 15>;   // 64 bytes an entry
  using Long = WordTable<12, 39, 12>;  // 256 bytes an entry
  static constexpr size_t kMostModels = 4;
  struct Owned {
    uint64_t serial;
    std::unique_ptr<WordCache> cache;
  };

  Short short_;
  Long long_;
};

}  // namespace polygraft::tokenizer
