// cli/pipeline/hold_out.cpp: see hold_out.h.
#include "cli/pipeline/hold_out.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {
namespace {

constexpr size_t kHeldOutBytes = size_t{512} << 10;

constexpr int64_t kWanted = 40;  ///< documents: twice what the gate asks for

/// How many of 256 hashes are drawn.
int64_t draw_below(int64_t num_documents) {
  return std::clamp<int64_t>(256 * kWanted / std::max<int64_t>(num_documents, 1), 16, 64);
}

/// By the first byte of the text's SHA-256.
bool is_drawn(const std::string& hash, int64_t below) {
  return std::stoi(hash.substr(0, 2), nullptr, 16) < below;
}

}  // namespace

HeldOut hold_out_documents(const std::string& language, const std::vector<std::string>& files,
                           const fs::path& train, const fs::path& heldout) {
  const int64_t below = draw_below(tokenizer::count_documents({files.begin(), files.end()}));
  AtomicFile train_file(train), heldout_file(heldout);
  HeldOut count;
  std::set<std::string> held_hashes;
  size_t held_bytes = 0;
  for (const std::string& file : files) {
    tokenizer::for_each_document(file, [&](tokenizer::Document&& document) {
      const std::string hash = sha256(document.text);
      const bool has_room = held_bytes < kHeldOutBytes;
      const bool held = held_hashes.contains(hash) || (has_room && is_drawn(hash, below));
      if (held && held_hashes.insert(hash).second) held_bytes += document.text.size();
      ++(held ? count.num_heldout : count.num_train);
      const Json line = {{"id", document.id}, {"text", document.text}};
      (held ? heldout_file : train_file).write(line.dump() + "\n");
    });
  }
  if (count.num_heldout == 0 || count.num_train == 0) {
    throw ConfigError(concat("texts of ", language), "too few documents to hold some out")
        .expected("some hundred documents")
        .found(concat(count.num_train + count.num_heldout))
        .hint(concat("give held-out text of your own: --heldout ", language, "=FILE"));
  }
  train_file.commit();
  heldout_file.commit();
  return count;
}

}  // namespace polygraft::cli
