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
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class ExtendGuard {
 public:
  /// Reads on up to `num_threads` threads (0: the default of core/parallel.h). Memory grows with
  /// the pairs and, for `ignore_merges`, with the different pieces (eight bytes each), not with the
  /// text.
  /// @param texts old text, files by language, segmented by `old`.
  ExtendGuard(const Tokenizer& old, const std::map<std::string, std::vector<fs::path>>& texts,
              int num_threads = 0);

  /// @param token_bytes what the merged token would stand for.
  bool forbids(TokenId left, TokenId right, const std::string& token_bytes) const {
    return adjacent_.count(pair_key(left, right)) != 0 || pieces_.count(hash(token_bytes)) != 0;
  }

 private:
  struct Keys;
  struct Reader;
  static uint64_t hash(std::string_view piece) { return std::hash<std::string_view>()(piece); }

  std::unordered_set<uint64_t> adjacent_;
  /// Hashes of pieces that are no token, for `ignore_merges` alone. Two pieces of one hash would
  /// have one merge more refused than need be, never one less.
  std::unordered_set<uint64_t> pieces_;
};

}  // namespace polygraft::tokenizer
