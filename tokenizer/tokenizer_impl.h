// tokenizer/tokenizer_impl.h: what every tokenizer has, and the two things each kind does in its
// own way. Kinds: bpe_tokenizer.h (tokenizer.json) and
// sentencepiece_tokenizer.h (tokenizer.model).
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

using RunVisitor = std::function<void(std::span<const TokenId>)>;

struct Tokenizer::Impl {
  fs::path file;     ///< what was read
  std::string hash;  ///< SHA-256 of its bytes
  Vocabulary vocabulary;
  std::optional<TokenId> bos, eos;
  SpecialTemplate special_template;

  virtual ~Impl() = default;
  /// @param text valid UTF-8 below 2 GiB.
  virtual void encode_append(std::string_view text, std::vector<TokenId>& ids) const = 0;
  /// @param ids all in the vocabulary.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const = 0;
  /// Cuts `text` into runs of tokens: merges may join neighbours of one run, and no others. A run
  /// is a word, or for a SentencePiece model all that stands between pieces that join nothing.
  virtual void for_each_run(std::string_view text, const RunVisitor& visit) const = 0;
  /// Each token from `first` on as its text alone is cut, by merges: without a pre-tokenizer, and
  /// without a space in front.
  virtual std::vector<std::vector<TokenId>> cut_alone(TokenId first) const = 0;
  /// The same tokenizer without everything that makes an id >= first; see base_view.h.
  virtual std::shared_ptr<const Impl> without_tokens_from(TokenId first) const = 0;
};

/// @throws FormatError with the byte offset for invalid UTF-8, or for 2 GiB and more.
void require_encodable(std::string_view text);

}  // namespace polygraft::tokenizer
