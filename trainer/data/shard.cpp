// trainer/data/shard.cpp: see shard.h. Reading and checking; encoding is in shard_encoder.cpp.
#include "trainer/data/shard.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/text.h"
#include "trainer/data/shard_encoder.h"

namespace polygraft::trainer {
namespace {

bool ascends_to(std::span<const uint64_t> offsets, uint64_t end) {
  return offsets.front() == 0 && offsets.back() == end &&
         std::is_sorted(offsets.begin(), offsets.end());
}

/// A shard whose key matches, or nothing; a broken file is made again like a stale one.
std::optional<TokenShard> reusable_shard(const fs::path& file, const std::string& key) {
  if (!fs::exists(file)) return std::nullopt;
  try {
    TokenShard shard = TokenShard::open(file);
    if (shard.key() == key) return shard;
    log_info(concat("the text or tokenizer behind ", file.string(), " changed; encoding again"));
  } catch (const FormatError& error) {
    log_warn(concat("encoding again: ", error.what()));
  }
  return std::nullopt;
}

}  // namespace

TokenShard TokenShard::open(const fs::path& file) {
  TokenShard shard{MappedFile(file)};
  const std::byte* data = shard.file_.data();
  const size_t size = shard.file_.size();
  ShardHeader header;
  if (size < sizeof(header)) throw FormatError(file, "is too short for a token shard");
  std::memcpy(&header, data, sizeof(header));
  if (std::memcmp(header.magic, kShardMagic, sizeof(header.magic)) != 0) {
    throw FormatError(file, "is no token shard").expected("it to begin with PGSHARD1");
  }
  const uint64_t limit = size / sizeof(int32_t);  // bounds both counts before they are multiplied
  const bool plausible = header.num_documents < limit && header.num_tokens < limit;
  const uint64_t offset_bytes = (header.num_documents + 1) * sizeof(uint64_t);
  const uint64_t expected = sizeof(header) + 2 * offset_bytes + header.num_tokens * sizeof(int32_t);
  if (!plausible || expected != size) {
    throw FormatError(file, "token shard has the wrong size")
        .expected(plausible ? concat(expected, " bytes") : "counts that fit the file")
        .found(concat(size, " bytes"));
  }
  const std::byte* cursor = data + sizeof(header);
  shard.token_offsets_ = {reinterpret_cast<const uint64_t*>(cursor), header.num_documents + 1};
  cursor += offset_bytes;
  shard.byte_offsets_ = {reinterpret_cast<const uint64_t*>(cursor), header.num_documents + 1};
  cursor += offset_bytes;
  shard.ids_ = {reinterpret_cast<const int32_t*>(cursor), header.num_tokens};
  shard.key_.assign(header.key, sizeof(header.key));
  if (!ascends_to(shard.token_offsets_, header.num_tokens) ||
      !ascends_to(shard.byte_offsets_, shard.byte_offsets_.back())) {
    throw FormatError(file, "token shard has offsets that do not ascend");
  }
  return shard;
}

std::string shard_key(const std::vector<fs::path>& sources, const tokenizer::Tokenizer& tokenizer) {
  Sha256 hash;
  hash.update(kShardMagic);
  hash.update(tokenizer.hash());
  for (const fs::path& source : sources) hash.update(sha256_file(source));
  return hash.finish();
}

TokenShard open_or_encode_shard(const fs::path& file, const std::vector<fs::path>& sources,
                                const tokenizer::Tokenizer& tokenizer, const std::string& label) {
  const std::string key = shard_key(sources, tokenizer);
  if (std::optional<TokenShard> shard = reusable_shard(file, key)) return *shard;
  create_folders(file.parent_path());
  encode_shard(file, key, sources, tokenizer, label);
  return TokenShard::open(file);
}

}  // namespace polygraft::trainer
