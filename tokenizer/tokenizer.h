// tokenizer/tokenizer.h: text to ids and back, exactly as the reference library does it.
// Reference: Hugging Face tokenizers 0.23 (byte-level BPE from tokenizer.json).
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft::tokenizer {

namespace fs = std::filesystem;
using TokenId = int32_t;

/// An immutable tokenizer. Cheap to copy, safe to use from several threads at once.
class Tokenizer {
 public:
  /// Reads a Hugging Face model folder (tokenizer.json, plus tokenizer_config.json for BOS and EOS)
  /// or one tokenizer.json.
  /// @throws FormatError for a broken file or a piece that is not supported (named); IoError when
  /// there is none.
  static Tokenizer load(const fs::path& folder_or_file);

  /// Ids of `text`, added and special tokens recognised, no post-processor (no BOS is added).
  /// @throws FormatError with the byte offset for invalid UTF-8.
  std::vector<TokenId> encode(std::string_view text) const;
  void encode_append(std::string_view text, std::vector<TokenId>& ids) const;
  /// Ids of each text, encoded on up to `num_threads` threads (0: one a core).
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
  /// SHA-256 of tokenizer.json's bytes.
  const std::string& hash() const;

  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  const Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace polygraft::tokenizer
