// tokenizer/tokenizer.h: text to ids and back, exactly as the reference library does it.
// References: Hugging Face tokenizers 0.23 (BPE from tokenizer.json), and SentencePiece 0.2 (BPE
// and unigram models from tokenizer.model).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/file.h"

namespace polygraft::tokenizer {

using TokenId = int32_t;

/// What a tokenizer's own template puts around a text; encode() leaves it out.
struct SpecialTemplate {
  std::vector<TokenId> before, after;
};

/// An immutable tokenizer. Cheap to copy, safe to use from several threads at once.
class Tokenizer {
 public:
  /// Reads a Hugging Face model folder (tokenizer.json or else tokenizer.model, plus
  /// tokenizer_config.json for BOS and EOS) or one such file.
  /// @throws FormatError for a broken file or a piece that is not supported (named); IoError when
  /// there is none.
  static Tokenizer load(const fs::path& folder_or_file);

  /// Ids of `text`, no post-processor (no BOS is added). Added and special tokens are recognised;
  /// in a SentencePiece model user-defined pieces are, control pieces such as <s> are not.
  /// @throws FormatError with the byte offset for invalid UTF-8.
  std::vector<TokenId> encode(std::string_view text) const;
  void encode_append(std::string_view text, std::vector<TokenId>& ids) const;
  /// Ids of each text, encoded on up to `num_threads` threads (0: the default of core/parallel.h).
  std::vector<std::vector<TokenId>> encode_batch(std::span<const std::string> texts,
                                                 int num_threads = 0) const;

  /// Text of `ids`; invalid UTF-8 becomes U+FFFD as in the reference. @throws ConfigError for an id
  /// outside the vocabulary.
  std::string decode(std::span<const TokenId> ids, bool skip_special_tokens = false) const;

  int64_t size() const;  ///< highest id + 1
  /// The token's text as tokenizer.json spells it (byte-level alphabet), "" for a hole.
  const std::string& token(TokenId id) const;
  std::optional<TokenId> find(std::string_view token) const;
  /// The bytes a token stands for (byte-level alphabet undone).
  std::string token_bytes(TokenId id) const;
  bool is_special(TokenId id) const;

  std::optional<TokenId> bos_id() const;
  std::optional<TokenId> eos_id() const;
  /// What documents are conditioned on: BOS, or EOS where there is no BOS. @throws FormatError when
  /// there is neither.
  TokenId prefix_id() const;
  /// The special ids around one text: the post-processor's TemplateProcessing, if it has one; of a
  /// tokenizer.model what add_bos_token and add_eos_token ask for.
  const SpecialTemplate& special_template() const;
  /// SHA-256 of the bytes of tokenizer.json or tokenizer.model.
  const std::string& hash() const;

  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace polygraft::tokenizer
