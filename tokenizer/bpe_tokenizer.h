// tokenizer/bpe_tokenizer.h: the parts of a tokenizer read from tokenizer.json, and the stages of
// encoding: added tokens -> normaliser -> added tokens again -> pre-tokenizer -> merges.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer_impl.h"

namespace polygraft::tokenizer {

struct BpeTokenizer final : Tokenizer::Impl {
  AddedTokenMatcher plain_tokens;       ///< looked for in the text as given
  AddedTokenMatcher normalized_tokens;  ///< looked for after the normaliser
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  Decoder decoder;

  explicit BpeTokenizer(BpeParts parts) : model(std::move(parts)) {}

  void encode_append(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  void for_each_run(std::string_view text, const RunVisitor& visit) const override;
  std::vector<std::vector<TokenId>> cut_alone(TokenId first) const override;
  std::shared_ptr<const Impl> without_tokens_from(TokenId first) const override;

  /// Calls `on_token(TokenId)` for each added token and `on_piece(std::string_view)` for each piece
  /// of the text between them, in order: all of encoding but the merges.
  /// @throws FormatError with the byte offset for invalid UTF-8.
  template <class OnToken, class OnPiece>
  void for_each_piece(std::string_view text, const OnToken& on_token,
                      const OnPiece& on_piece) const {
    require_encodable(text);
    std::vector<Section> outer, inner;
    plain_tokens.split(text, outer);
    std::string buffer;
    for (const Section& section : outer) {
      const bool begins_text = section.text.data() == text.data();
      if (section.id >= 0) {
        on_token(section.id);
        continue;
      }
      inner.clear();
      const std::string_view normal = normalizer.normalize(section.text, buffer);
      normalized_tokens.split(normal, inner);
      for (const Section& part : inner) {
        if (part.id >= 0) {
          on_token(part.id);
        } else {
          const bool at_start = begins_text && part.text.data() == normal.data();
          pre_tokenizer.for_each_piece(part.text, at_start, on_piece);
        }
      }
    }
  }
};

/// @throws NotBuiltError when the tokenizer is of another kind (read from tokenizer.model).
const BpeTokenizer& bpe_of(const Tokenizer& tokenizer);

}  // namespace polygraft::tokenizer
