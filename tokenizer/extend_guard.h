// tokenizer/extend_guard.h: which merges would change how old text is segmented.
//
// New merges rank behind all old ones, so on old text the old merges finish first and leave the old
// segmentation. The first new merge to fire there would join two old tokens that are adjacent in
// it: when every such pair is refused, none ever fires, and none that holds a new token can follow.
// With `ignore_merges` a piece that is a token as a whole skips the merges. A piece of guarded text
// cannot become one either: its first merge would join two of its old tokens, which are adjacent
// there. In a SentencePiece model, where it is the text that makes a piece, the same holds, since a
// text is cut into old pieces in one way (base_view.cpp).
#pragma once
#include <vector>

#include "tokenizer/bpe_trainer.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/guarded_pairs.h"
#include "tokenizer/merge_learner.h"

namespace polygraft::tokenizer {

class ExtendGuard {
 public:
  /// Reads the guard texts on up to `num_threads` threads (0: the default of core/parallel.h), for
  /// pairs that `learner`, not yet asked for merges, has at least `min_count` times.
  ExtendGuard(const Tokenizer& old, const TextsByLanguage& texts, const MergeLearner& learner,
              int64_t min_count, int num_threads = 0);

  bool forbids(TokenId left, TokenId right) const { return pairs_.saw(left, right); }
  const GuardedPairs& pairs() const { return pairs_; }

 private:
  GuardedPairs pairs_;
};

/// Says for every rejection listed which guard document has the pair first, and the words there.
/// Reads on until each has one.
void find_witnesses(const Tokenizer& old, const TextsByLanguage& texts,
                    std::vector<GuardRejection>& rejections);

}  // namespace polygraft::tokenizer
