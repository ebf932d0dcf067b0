// tokenizer/sentencepiece_tokenizer.h: a SentencePiece model (BPE or unigram), encoded and decoded
// by the sentencepiece library; what a unigram model makes of the text that the library has
// normalised is decided here (unigram_model.h), so that it does not depend on the library's age.
// Control pieces (<s>) are not looked for in text, and decode to nothing. Reference: Kudo and
// Richardson 2018; github.com/google/sentencepiece.
#pragma once
#include <memory>
#include <string>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tokenizer_impl.h"
#include "tokenizer/unigram_model.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace polygraft::tokenizer {

struct SentencePieceTokenizer final : Tokenizer::Impl {
  std::string bytes;  ///< the file's
  SentencePieceFile pieces;
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor;
  std::shared_ptr<const UnigramModel> unigram;  ///< none in a BPE model

  void encode_append(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  void for_each_run(std::string_view text, const RunVisitor& visit) const override;
  std::vector<std::vector<TokenId>> cut_alone(TokenId first) const override;
  std::shared_ptr<const Impl> without_tokens_from(TokenId first) const override;

 private:
  std::string normalized(std::string_view text, const std::vector<int>& ids) const;
};

/// @param bytes of a tokenizer.model. @param file names it in errors; BOS and EOS come from the
/// tokenizer_config.json in `config_folder`, or else from the model. @throws FormatError for a
/// broken file, NotBuiltError for a model that is neither BPE nor unigram.
std::shared_ptr<const Tokenizer::Impl> parse_sentencepiece(const std::string& bytes,
                                                           const fs::path& file,
                                                           const fs::path& config_folder);

}  // namespace polygraft::tokenizer
