// trainer/data/shard.h: one language's training text as token ids in one memory-mapped file.
// Encoded once; the file says what it was made from (a key over source files and tokenizer) and is
// made again when that changed. Little-endian layout, every section 8-byte aligned:
//   magic "PGSHARD1" | key (64 hexadecimal digits) | num_documents u64 | num_tokens u64
//   | first token of each document, and the end: u64 [num_documents + 1]
//   | first text byte of each document, and the end: u64 [num_documents + 1]
//   | token ids: i32 [num_tokens]
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::trainer {

class TokenShard {
 public:
  /// Maps a shard. @throws FormatError when the file is cut short or its offsets do not ascend.
  static TokenShard open(const fs::path& file);

  const std::string& key() const { return key_; }
  int64_t num_documents() const { return static_cast<int64_t>(token_offsets_.size()) - 1; }
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }
  int64_t first_token(int64_t document) const { return offset(token_offsets_, document); }
  int64_t document_tokens(int64_t document) const {
    return offset(token_offsets_, document + 1) - offset(token_offsets_, document);
  }
  int64_t document_bytes(int64_t document) const {
    return offset(byte_offsets_, document + 1) - offset(byte_offsets_, document);
  }
  int64_t text_bytes() const { return offset(byte_offsets_, num_documents()); }
  std::span<const int32_t> ids() const { return ids_; }

 private:
  explicit TokenShard(MappedFile file) : file_(std::move(file)) {}
  static int64_t offset(std::span<const uint64_t> offsets, int64_t index) {
    return static_cast<int64_t>(offsets[static_cast<size_t>(index)]);
  }

  MappedFile file_;
  std::string key_;
  std::span<const uint64_t> token_offsets_, byte_offsets_;
  std::span<const int32_t> ids_;
};

/// SHA-256 over the contents of `sources` in order, and the tokenizer.
std::string shard_key(const std::vector<fs::path>& sources, const tokenizer::Tokenizer& tokenizer);

/// The shard `file` of these sources: mapped as it is when its key matches, encoded anew otherwise
/// (atomically).
/// @param label for the progress line, "encoding de".
TokenShard open_or_encode_shard(const fs::path& file, const std::vector<fs::path>& sources,
                                const tokenizer::Tokenizer& tokenizer, const std::string& label);

}  // namespace polygraft::trainer
