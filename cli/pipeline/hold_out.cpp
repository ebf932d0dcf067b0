// cli/pipeline/hold_out.cpp: see hold_out.h.
#include "cli/pipeline/hold_out.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/stop.h"
#include "core/text.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {
namespace {

constexpr double kShare = 1.0 / 16, kMostShare = 1.0 / 4;  ///< of all documents
constexpr double kHeldOutBytes = 512 << 10;
constexpr double kWanted = 40;  ///< documents: twice what the gate asks for

/// The share of the documents that is drawn.
double share_of(const std::vector<std::string>& files) {
  double num_documents = 0, num_bytes = 0;
  for (const std::string& file : files) {
    tokenizer::for_each_document(file, [&](tokenizer::Document&& document) {
      throw_if_stopped();
      num_documents += 1;
      num_bytes += static_cast<double>(document.text.size());
    });
  }
  const double fitting = std::min(kShare, kHeldOutBytes / num_bytes);
  return std::min(std::max(fitting, kWanted / num_documents), kMostShare);
}

/// By the first 32 bits of the text's SHA-256: equal documents go together.
bool is_drawn(const std::string& text, double share) {
  return static_cast<double>(std::stoul(sha256(text).substr(0, 8), nullptr, 16)) < share * 0x1p32;
}

}  // namespace

HeldOut hold_out_documents(const std::string& language, const std::vector<std::string>& files,
                           const fs::path& train, const fs::path& heldout) {
  const double share = share_of(files);
  AtomicFile train_file(train), heldout_file(heldout);
  HeldOut count;
  for (const std::string& file : files) {
    tokenizer::for_each_document(file, [&](tokenizer::Document&& document) {
      throw_if_stopped();
      const bool held = is_drawn(document.text, share);
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
