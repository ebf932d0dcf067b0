// tokenizer/guarded_pairs.h: which pairs of old tokens stand beside each other in guarded text. A
// pair is joined only if the new text has it too, often enough: those alone are looked for, so that
// memory grows with the new text and not with the guarded one.
#pragma once
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "tokenizer/merge_table.h"

namespace polygraft::tokenizer {

class GuardedPairs {
 public:
  /// Call before anything is noted.
  void watch(TokenId left, TokenId right) {
    if (watches(left, right)) return;
    number_of_.insert(left, right, {static_cast<uint32_t>(seen_.size()), 0});
    seen_.push_back(0);
  }
  bool watches(TokenId left, TokenId right) const {
    return static_cast<bool>(number_of_.find(left, right));
  }

  /// Several threads may note at once. @param run neighbouring tokens that merges may join.
  void note(std::span<const TokenId> run) {
    for (size_t i = 0; i + 1 < run.size(); ++i) {
      const Merge known = number_of_.find(run[i], run[i + 1]);
      if (!known) continue;
      std::atomic_ref seen(seen_[known.rank]);
      if (seen.load(std::memory_order_relaxed) == 0) seen.store(1, std::memory_order_relaxed);
    }
  }
  bool saw(TokenId left, TokenId right) const {
    const Merge known = number_of_.find(left, right);
    return known && seen_[known.rank] != 0;
  }

 private:
  MergeTable number_of_;  ///< the rank is the pair's number
  std::vector<uint8_t> seen_;
};

}  // namespace polygraft::tokenizer
