// cli/pipeline/hold_out.h: one language's texts split into documents to learn from and documents to
// measure on, for users who bring no held-out text of their own. A document's own hash decides, so
// that equal documents fall on one side, in whatever order the files are given.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace polygraft::cli {

struct HeldOut {
  int64_t num_train = 0, num_heldout = 0;  ///< documents
};

/// Writes `train` and `heldout` (.jsonl): one document in 16 is held out, or fewer where those would
/// be more than about 512 KiB, or more (up to one in 4) where they would be fewer than about 40.
/// From everywhere in the files: the held-out text is of what all of them hold.
/// @throws what reading the texts throws; ConfigError when no document, or every one, is held
/// out.
HeldOut hold_out_documents(const std::string& language, const std::vector<std::string>& files,
                           const std::filesystem::path& train,
                           const std::filesystem::path& heldout);

}  // namespace polygraft::cli
