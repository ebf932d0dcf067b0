// trainer/data/shard_encoder.h: text files -> token shard, on several threads, with the same bytes
// for any number of them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/file.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::trainer {

inline constexpr char kShardMagic[] = "PGSHARD1";

/// The fixed first bytes of a shard file, little-endian.
struct ShardHeader {
  char magic[8];
  char key[64];
  uint64_t num_documents;
  uint64_t num_tokens;
};
static_assert(sizeof(ShardHeader) == 88, "the header is written as it lies in memory");

/// Encodes every document of `sources`, in order, and writes the shard atomically.
void encode_shard(const fs::path& file, const std::string& key,
                  const std::vector<fs::path>& sources, const tokenizer::Tokenizer& tokenizer,
                  const std::string& label);

}  // namespace polygraft::trainer
