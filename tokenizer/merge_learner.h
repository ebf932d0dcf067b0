// tokenizer/merge_learner.h: which pair of adjacent tokens is the most frequent, merge after merge.
// Pair counts are kept up to date while merging (Sennrich et al. 2016, "efficient" variant): a
// merge touches only the words that hold its pair.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class MergeLearner {
 public:
  struct Candidate {
    int64_t count;  ///< occurrences in the text, overlapping ones ("aaa" has two pairs) included
    TokenId left, right;
  };

  /// @param count how often the word occurs.
  void add_word(std::span<const TokenId> symbols, int64_t count);

  /// Calls visit(left, right, count) for every pair, in no particular order.
  template <class Visit>
  void for_each_pair(const Visit& visit) const {
    for (const auto& [key, pair] : pairs_) {
      visit(static_cast<TokenId>(key >> 32), static_cast<TokenId>(key & UINT32_MAX), pair.count);
    }
  }

  /// The most frequent pair not offered before, ties to the smaller (left, right) ids; none when no
  /// word has two symbols left. A pair that is offered and not merged is never offered again.
  std::optional<Candidate> next();

  /// Replaces (left, right) by `merged`, a new id, in every word, from left to right.
  void merge(TokenId left, TokenId right, TokenId merged);

 private:
  struct Word {
    std::vector<TokenId> symbols;
    int64_t count;
  };
  struct Pair {
    int64_t count = 0;
    std::vector<uint32_t> words;  ///< where it is or was; a word may stand there twice
  };

  void start();
  void push(uint64_t key, int64_t count);
  void count_pair(TokenId left, TokenId right, int64_t count, uint32_t word);
  void merge_in_word(uint32_t index, TokenId left, TokenId right, TokenId merged);

  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair, MixedHash> pairs_;
  std::vector<Candidate> heap_;
  std::vector<uint64_t> grown_;  ///< pairs that the merge in progress made more frequent
  bool started_ = false;
};

}  // namespace polygraft::tokenizer
