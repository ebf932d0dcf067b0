// tokenizer/merge_learner.cpp: see merge_learner.h.
// The heap holds counts as they were when pushed. Counts of pairs with a new token grow only during
// the merge that makes the token, after which they are pushed; from then on, and for all old pairs,
// counts only fall, so an entry that is too high is corrected when it reaches the top.
#include "tokenizer/merge_learner.h"

#include <algorithm>
#include <tuple>

namespace polygraft::tokenizer {
namespace {

/// Order of a max-heap: more frequent first, then smaller ids.
bool comes_later(const MergeLearner::Candidate& a, const MergeLearner::Candidate& b) {
  return std::tie(a.count, b.left, b.right) < std::tie(b.count, a.left, a.right);
}

}  // namespace

void MergeLearner::add_word(std::span<const TokenId> symbols, int64_t count) {
  if (symbols.size() < 2) return;
  const auto index = static_cast<uint32_t>(words_.size());
  words_.push_back({{symbols.begin(), symbols.end()}, count});
  for (size_t i = 0; i + 1 < symbols.size(); ++i) {
    count_pair(symbols[i], symbols[i + 1], count, index);
  }
}

void MergeLearner::count_pair(TokenId left, TokenId right, int64_t count, uint32_t word) {
  Pair& pair = pairs_[pair_key(left, right)];
  pair.count += count;
  if (count > 0 && (pair.words.empty() || pair.words.back() != word)) pair.words.push_back(word);
}

void MergeLearner::push(uint64_t key, int64_t count) {
  heap_.push_back({count, static_cast<TokenId>(key >> 32), static_cast<TokenId>(key & UINT32_MAX)});
  std::push_heap(heap_.begin(), heap_.end(), comes_later);
}

void MergeLearner::start() {
  started_ = true;
  for (const auto& [key, pair] : pairs_) push(key, pair.count);
}

std::optional<MergeLearner::Candidate> MergeLearner::next() {
  if (!started_) start();
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end(), comes_later);
    const Candidate top = heap_.back();
    heap_.pop_back();
    const uint64_t key = pair_key(top.left, top.right);
    const auto pair = pairs_.find(key);
    const int64_t count = pair == pairs_.end() ? 0 : pair->second.count;
    if (count == top.count && count > 0) return top;
    if (count > 0) push(key, count);
  }
  return std::nullopt;
}

void MergeLearner::merge(TokenId left, TokenId right, TokenId merged) {
  const auto pair = pairs_.find(pair_key(left, right));
  if (pair == pairs_.end()) return;
  const std::vector<uint32_t> where = std::move(pair->second.words);
  pairs_.erase(pair);
  grown_.clear();
  for (const uint32_t word : where) merge_in_word(word, left, right, merged);
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  for (const uint64_t key : grown_) push(key, pairs_[key].count);
}

/// Takes the word's pairs out of the counts, merges, and counts its pairs again.
void MergeLearner::merge_in_word(uint32_t index, TokenId left, TokenId right, TokenId merged) {
  Word& word = words_[index];
  std::vector<TokenId>& symbols = word.symbols;
  const auto is_pair = [&](size_t i) {
    return i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right;
  };
  size_t kept = 0;
  TokenId before = -1;  // the symbol that stood before position i, as it was
  for (size_t i = 0; i < symbols.size();) {
    const bool found = is_pair(i);
    const TokenId first = symbols[i];
    const TokenId symbol = found ? merged : first;
    const TokenId left_now = kept > 0 ? symbols[kept - 1] : -1;
    if (kept > 0 && (symbol == merged || left_now == merged)) {
      if (!(before == left && first == right)) count_pair(before, first, -word.count, index);
      count_pair(left_now, symbol, word.count, index);
      grown_.push_back(pair_key(left_now, symbol));
    }
    before = found ? right : first;
    i += found ? 2 : 1;
    symbols[kept++] = symbol;
  }
  symbols.resize(kept);
}

}  // namespace polygraft::tokenizer
