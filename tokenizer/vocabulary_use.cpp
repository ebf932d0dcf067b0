// tokenizer/vocabulary_use.cpp: see vocabulary_use.h.
#include "tokenizer/vocabulary_use.h"

#include <algorithm>

namespace polygraft::tokenizer {

VocabularyUse::VocabularyUse(const Tokenizer& tokenizer)
    : tokenizer_(tokenizer), used_(static_cast<size_t>(tokenizer.size())) {
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    const bool is_hole = tokenizer.token(id).empty();
    single_byte_.push_back(!is_hole && tokenizer.token_bytes(id).size() == 1);
  }
}

std::span<const TokenId> VocabularyUse::encode(std::string_view text) {
  ids_.clear();
  tokenizer_.encode_append(text, ids_);
  for (const TokenId id : ids_) used_[static_cast<size_t>(id)] = true;
  return ids_;
}

template <class Predicate>
int64_t VocabularyUse::count(const Tokenizer* lacking, const Predicate& counts) const {
  int64_t total = 0;
  for (TokenId id = 0; id < tokenizer_.size(); ++id) {
    const std::string& token = tokenizer_.token(id);
    if (token.empty() || tokenizer_.is_special(id)) continue;
    if (lacking != nullptr && lacking->find(token)) continue;
    total += counts(id) ? 1 : 0;
  }
  return total;
}

int64_t VocabularyUse::num_plain(const Tokenizer* lacking) const {
  return count(lacking, [](TokenId) { return true; });
}

int64_t VocabularyUse::num_unused(const Tokenizer* lacking) const {
  return count(lacking, [this](TokenId id) { return !used_[static_cast<size_t>(id)]; });
}

bool same_tokens(const VocabularyUse& a, const VocabularyUse& b) {
  const auto x = a.last(), y = b.last();
  return std::equal(x.begin(), x.end(), y.begin(), y.end(), [&](TokenId i, TokenId j) {
    return a.tokenizer().token(i) == b.tokenizer().token(j);
  });
}

}  // namespace polygraft::tokenizer
