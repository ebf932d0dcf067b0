// trainer/data/shard_encoder.cpp: see shard_encoder.h. Documents are encoded in blocks: each thread
// takes documents of the block, results are appended in document order. Ids wait on disk (4 bytes a
// token), since the offsets stand before them in the file; only these are held until the end.
#include "trainer/data/shard_encoder.h"

#include <algorithm>
#include <cstring>

#include "core/progress.h"
#include "core/spool.h"
#include "core/stop.h"
#include "tokenizer/corpus.h"

namespace polygraft::trainer {
namespace {

constexpr size_t kBlockBytes = 4 << 20;  ///< text encoded between two looks at signals

class ShardBuilder {
 public:
  ShardBuilder(const fs::path& file, const tokenizer::Tokenizer& tokenizer,
               const std::string& label, uint64_t total_bytes)
      : file_(file), tokenizer_(tokenizer), progress_(label, total_bytes, "bytes"), ids_(file) {}

  void add(tokenizer::Document&& document) {
    block_bytes_ += document.text.size();
    block_.push_back(std::move(document.text));
    if (block_bytes_ >= kBlockBytes) encode_block();
  }

  void encode_block() {
    throw_if_stopped();
    const auto encoded = tokenizer_.encode_batch(block_);
    for (size_t i = 0; i < block_.size(); ++i) {
      ids_.append(encoded[i].data(), encoded[i].size() * sizeof(tokenizer::TokenId));
      token_offsets_.push_back(token_offsets_.back() + encoded[i].size());
      byte_offsets_.push_back(byte_offsets_.back() + block_[i].size());
    }
    progress_.set(byte_offsets_.back());
    block_.clear();
    block_bytes_ = 0;
  }

  void write(const std::string& key) {
    encode_block();
    progress_.finish();
    ShardHeader header{};
    std::memcpy(header.magic, kShardMagic, sizeof(header.magic));
    std::memcpy(header.key, key.data(), std::min(key.size(), sizeof(header.key)));
    header.num_documents = token_offsets_.size() - 1;
    header.num_tokens = token_offsets_.back();
    AtomicFile out(file_);
    out.write(&header, sizeof(header));
    out.write(token_offsets_.data(), token_offsets_.size() * sizeof(uint64_t));
    out.write(byte_offsets_.data(), byte_offsets_.size() * sizeof(uint64_t));
    ids_.move_to(out);
    out.commit();
  }

 private:
  fs::path file_;
  const tokenizer::Tokenizer& tokenizer_;
  Progress progress_;
  std::vector<std::string> block_;
  size_t block_bytes_ = 0;
  Spool ids_;
  std::vector<uint64_t> token_offsets_{0}, byte_offsets_{0};
};

}  // namespace

void encode_shard(const fs::path& file, const std::string& key,
                  const std::vector<fs::path>& sources, const tokenizer::Tokenizer& tokenizer,
                  const std::string& label) {
  uint64_t total_bytes = 0;  // of the files: an estimate of the text in them
  for (const fs::path& source : sources) total_bytes += fs::file_size(source);
  ShardBuilder builder(file, tokenizer, label, total_bytes);
  for (const fs::path& source : sources) {
    tokenizer::for_each_document(
        source, [&](tokenizer::Document&& document) { builder.add(std::move(document)); });
  }
  builder.write(key);
}

}  // namespace polygraft::trainer
