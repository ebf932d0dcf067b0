// tokenizer/extend_guard.h: which merges would change how old text is segmented.
//
// New merges rank behind all old ones, so on old text the old merges finish first and leave the old
// segmentation. The first new merge to fire there would join two old tokens that are adjacent in
// it: when every such pair is refused, none ever fires, and none that holds a new token can follow.
// With `ignore_merges` a piece that is a token as a whole skips the merges, so pieces of old text
// are refused as tokens too.
#pragma once
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/word_counts.h"

namespace polygraft::tokenizer {

class ExtendGuard {
 public:
  /// @param texts old text, files by language, segmented by `old`.
  ExtendGuard(const Tokenizer& old, const std::map<std::string, std::vector<fs::path>>& texts);

  /// @param token_bytes what the merged token would stand for.
  bool forbids(TokenId left, TokenId right, const std::string& token_bytes) const {
    return adjacent_.count(pair_key(left, right)) != 0 ||
           (whole_pieces_matter_ && words_.contains(token_bytes));
  }

 private:
  std::unordered_set<uint64_t> adjacent_;
  WordCounts words_;
  bool whole_pieces_matter_;
};

}  // namespace polygraft::tokenizer
