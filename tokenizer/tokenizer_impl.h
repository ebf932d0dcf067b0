// tokenizer/tokenizer_impl.h: the parts a tokenizer is made of, and the stages of encoding.
#pragma once
#include <optional>
#include <string>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

struct Tokenizer::Impl {
  fs::path file;     ///< tokenizer.json
  std::string hash;  ///< SHA-256 of its bytes
  Vocabulary vocabulary;
  AddedTokenMatcher plain_tokens;       ///< looked for in the text as given
  AddedTokenMatcher normalized_tokens;  ///< looked for after the normaliser
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  BpeModel model;
  std::optional<TokenId> bos, eos;

  /// Calls `on_token(TokenId)` for each added token and `on_piece(std::string_view)` for each piece
  /// of the text between them, in order: all of encoding but the merges.
  /// @throws FormatError with the byte offset for invalid UTF-8.
  template <class OnToken, class OnPiece>
  void for_each_piece(std::string_view text, const OnToken& on_token,
                      const OnPiece& on_piece) const {
    require_utf8(text);
    std::vector<Section> outer, inner;
    plain_tokens.split(text, outer);
    std::string buffer;
    for (const Section& section : outer) {
      if (section.id >= 0) {
        on_token(section.id);
        continue;
      }
      inner.clear();
      normalized_tokens.split(normalizer.normalize(section.text, buffer), inner);
      for (const Section& part : inner) {
        if (part.id >= 0) {
          on_token(part.id);
        } else {
          pre_tokenizer.for_each_piece(part.text, on_piece);
        }
      }
    }
  }

 private:
  static void require_utf8(std::string_view text);
};

}  // namespace polygraft::tokenizer
