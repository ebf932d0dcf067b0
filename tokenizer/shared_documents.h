// tokenizer/shared_documents.h: documents to measure on that are also learned from: what is
// measured on them says nothing of other text.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace polygraft::tokenizer {

struct SharedDocuments {
  int64_t num_shared = 0;   ///< held-out documents whose text is some training document's
  int64_t num_heldout = 0;  ///< all of them
};

/// Holds the held-out texts in memory, not those to learn from. @throws as for_each_document().
SharedDocuments count_shared_documents(const std::vector<std::filesystem::path>& train,
                                       const std::vector<std::filesystem::path>& heldout);

}  // namespace polygraft::tokenizer
