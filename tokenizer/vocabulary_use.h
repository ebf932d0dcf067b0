// tokenizer/vocabulary_use.h: a tokenizer that remembers which of its tokens it has used.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class VocabularyUse {
 public:
  explicit VocabularyUse(const Tokenizer& tokenizer);

  /// Ids of `text`, marked as used; valid until the next call.
  std::span<const TokenId> encode(std::string_view text);
  std::span<const TokenId> last() const { return ids_; }
  bool is_single_byte(TokenId id) const { return single_byte_[static_cast<size_t>(id)]; }
  const Tokenizer& tokenizer() const { return tokenizer_; }

  /// Entries that are not special; with `lacking` those that it has not.
  int64_t num_plain(const Tokenizer* lacking = nullptr) const;
  int64_t num_unused(const Tokenizer* lacking = nullptr) const;

 private:
  template <class Predicate>
  int64_t count(const Tokenizer* lacking, const Predicate& counts) const;

  Tokenizer tokenizer_;
  std::vector<bool> used_, single_byte_;
  std::vector<TokenId> ids_;
};

/// Whether both cut the text encoded last into the same tokens, by their spelling: ids of two
/// tokenizers need not mean the same.
bool same_tokens(const VocabularyUse& a, const VocabularyUse& b);

}  // namespace polygraft::tokenizer
