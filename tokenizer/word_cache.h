// tokenizer/word_cache.h: what frequent short pieces were encoded to. One a thread, no locks.
// Two-way set associative with the words and ids inline, so that a hit touches one or two cache
// lines and a miss allocates nothing.
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

class WordCache {
 public:
  static constexpr size_t kMostBytes = 24;  ///< of a word; longer ones are encoded anew
  static constexpr size_t kMostIds = 8;

  struct Entry {
    std::array<char, kMostBytes> bytes;
    std::array<TokenId, kMostIds> ids;
    uint8_t num_bytes = 0;  ///< 0: unused; no piece is empty
    uint8_t num_ids = 0;
    bool equals(std::string_view word) const {
      return num_bytes == word.size() && std::memcmp(bytes.data(), word.data(), word.size()) == 0;
    }
    std::span<const TokenId> value() const { return {ids.data(), num_ids}; }
  };

  WordCache() : entries_(2 * kNumSets) {}

  /// This thread's cache for a model. The few models used last keep theirs, so that comparing two
  /// tokenizers document by document does not empty them.
  static WordCache& of_model(uint64_t serial) {
    struct Owned {
      uint64_t serial;
      std::unique_ptr<WordCache> cache;
    };
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
  /// @param word at most kMostBytes long. The entry that holds it, or the one to overwrite.
  Entry& entry(std::string_view word, bool& hit) {
    Entry* set = &entries_[2 * (hash(word) >> (64 - kSetBits))];
    hit = set[0].equals(word);
    if (hit) return set[0];
    hit = set[1].equals(word);
    if (hit) return set[1];
    set[1] = set[0];  // the newest stands first
    return set[0];
  }
  static void store(Entry& entry, std::string_view word, std::span<const TokenId> ids) {
    std::memcpy(entry.bytes.data(), word.data(), word.size());
    std::memcpy(entry.ids.data(), ids.data(), ids.size_bytes());
    entry.num_bytes = static_cast<uint8_t>(word.size());
    entry.num_ids = static_cast<uint8_t>(ids.size());
  }

 private:
  static constexpr int kSetBits = 14;
  static constexpr size_t kNumSets = size_t{1} << kSetBits;
  static constexpr size_t kMostModels = 4;

  static uint64_t hash(std::string_view word) {
    uint64_t state = word.size();
    while (!word.empty()) {
      uint64_t block = 0;
      const size_t length = word.size() < sizeof block ? word.size() : sizeof block;
      std::memcpy(&block, word.data(), length);
      state = mix_key(state ^ block);
      word.remove_prefix(length);
    }
    return mix_key(state);
  }

  std::vector<Entry> entries_;
};

}  // namespace polygraft::tokenizer
