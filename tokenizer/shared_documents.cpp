// tokenizer/shared_documents.cpp: see shared_documents.h.
#include "tokenizer/shared_documents.h"

#include <atomic>
#include <string>
#include <unordered_map>

#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {

SharedDocuments count_shared_documents(const std::vector<fs::path>& train,
                                       const std::vector<fs::path>& heldout) {
  struct Text {
    int64_t num_documents = 0;
    std::atomic<bool> is_trained_on = false;
  };
  std::unordered_map<std::string, Text> texts;
  for (Document& document : read_documents(heldout)) {
    ++texts[std::move(document.text)].num_documents;
  }
  for_each_document_unordered(train, /*num_threads=*/0, [&](Document&& document, size_t) {
    const auto found = texts.find(document.text);
    if (found != texts.end()) found->second.is_trained_on = true;
  });
  SharedDocuments counts;
  for (const auto& [unused, text] : texts) {
    counts.num_heldout += text.num_documents;
    if (text.is_trained_on) counts.num_shared += text.num_documents;
  }
  return counts;
}

}  // namespace polygraft::tokenizer
