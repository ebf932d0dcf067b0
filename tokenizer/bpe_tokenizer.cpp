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
  const auto is_skipped = [&](TokenId id) {
    return skip_special_tokens && vocabulary.entry(id).skipped;
  };
  if (decoder.concatenates_bytes()) {
    std::string bytes;
    for (const TokenId id : ids) {
      if (!is_skipped(id)) bytes += vocabulary.entry(id).bytes;
    }
    return to_valid_utf8(bytes);
  }
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const TokenId id : ids) {
    if (!is_skipped(id)) tokens.push_back(vocabulary.spelling(id));
  }
  return decoder.decode(std::move(tokens));
}

void BpeTokenizer::for_each_run(std::string_view text, const RunVisitor& visit) const {
  std::vector<TokenId> ids;
  for_each_piece(
      text,
      [&](TokenId id) {
        visit({&id, 1});
      },
      [&](std::string_view piece) {
        ids.clear();
        model.encode_piece(piece, ids);
        visit(ids);
      });
}

std::vector<std::vector<TokenId>> BpeTokenizer::cut_alone(TokenId first) const {
  std::vector<std::vector<TokenId>> cut;
  for (TokenId id = first; id < vocabulary.size(); ++id) {
    std::vector<TokenId>& ids = cut.emplace_back();
    if (!vocabulary.has(id)) continue;
    const Vocabulary::Entry& entry = vocabulary.entry(id);
    model.merge_piece(model.parts().byte_level ? entry.bytes : entry.token, ids);
  }
  return cut;
}

std::shared_ptr<const Tokenizer::Impl> BpeTokenizer::without_tokens_from(TokenId first) const {
  BpeParts parts = model.parts();
  MergeTable kept;
  parts.merges.for_each([&](TokenId left, TokenId right, Merge merge) {
    if (merge.result < first) kept.insert(left, right, merge);
  });
  parts.merges = std::move(kept);
  std::erase_if(parts.whole_pieces, [&](const auto& piece) { return piece.second >= first; });
  auto result = std::make_shared<BpeTokenizer>(*this);
  result->model = BpeModel(std::move(parts));
  return result;
}

const BpeTokenizer& bpe_of(const Tokenizer& tokenizer) {
  const auto* bpe = dynamic_cast<const BpeTokenizer*>(&tokenizer.impl());
  if (bpe != nullptr) return *bpe;
  throw NotBuiltError("this for a tokenizer that is not read from tokenizer.json")
      .found(tokenizer.impl().file.string());
}

}  // namespace polygraft::tokenizer
