// tokenizer/bpe_tokenizer.cpp: see bpe_tokenizer.h.
#include "tokenizer/bpe_tokenizer.h"

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {

void BpeTokenizer::encode_append(std::string_view text, std::vector<TokenId>& ids) const {
  for_each_piece(
      text, [&](TokenId id) { ids.push_back(id); },
      [&](std::string_view piece) { model.encode_piece(piece, ids); });
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  std::string bytes;
  for (const TokenId id : ids) {
    const Vocabulary::Entry& entry = vocabulary.entry(id);
    if (!(skip_special_tokens && entry.skipped)) bytes += entry.bytes;
  }
  return to_valid_utf8(bytes);
}

const BpeTokenizer& bpe_of(const Tokenizer& tokenizer) {
  const auto* bpe = dynamic_cast<const BpeTokenizer*>(&tokenizer.impl());
  if (bpe != nullptr) return *bpe;
  throw NotBuiltError("this for a tokenizer that is not read from tokenizer.json")
      .found(tokenizer.impl().file.string());
}

}  // namespace polygraft::tokenizer
