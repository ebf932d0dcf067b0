// tokenizer/guard_budget.h: how many guard documents may be cut differently, and which merges that
// allows.
//
// A language of n guard documents may have floor(share x n) changed ones. Merges are asked about in
// learning order: one that the guard forbids is admitted when the documents it changes, together
// with those that admitted ones change already, stay within the budget of every language.
// The count is exact. A new merge ranks behind all old ones, so the first one to fire in a document
// joins two old tokens that are adjacent in its old segmentation; in a document where no admitted
// pair is adjacent none fires, and where one is the segmentation changes.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tokenizer/extend_parts.h"
#include "tokenizer/guarded_pairs.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class GuardBudget {
 public:
  /// Reads the guard texts twice: once to count documents, once to list those of each pair that
  /// `pairs` watches. Memory: four bytes for each document of a pair, at most the budget + 1
  /// documents a pair.
  /// @param max_changed share of a language's documents, above 0 and at most 1.
  GuardBudget(const Tokenizer& old, const TextsByLanguage& texts, const GuardedPairs& pairs,
              double max_changed);

  /// Whether the merge fits; its documents then count as changed.
  bool admit(TokenId left, TokenId right);

  /// Documents that the merges admitted so far change.
  int64_t num_changed(const std::string& language) const;

 private:
  using Documents = std::vector<uint32_t>;  ///< ascending
  struct Language {
    int64_t allowed = 0, num_changed = 0;
    std::unordered_map<uint64_t, Documents, MixedHash> by_pair;
    std::vector<bool> changed;
  };
  static void read(const Tokenizer& old, const std::vector<fs::path>& files,
                   const GuardedPairs& pairs, Language& language);
  static Documents newly_changed(const Language& language, uint64_t pair);

  std::map<std::string, Language> languages_;
};

/// floor(share x documents): how many of a language's guard documents may change.
int64_t changes_allowed(double share, int64_t documents);

}  // namespace polygraft::tokenizer
