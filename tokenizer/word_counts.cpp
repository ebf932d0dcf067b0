// tokenizer/word_counts.cpp: see word_counts.h.
#include "tokenizer/word_counts.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/progress.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {

void WordCounts::add_files(const Tokenizer& tokenizer, const std::vector<fs::path>& files,
                           int num_threads) {
  const BpeTokenizer& bpe = bpe_of(tokenizer);
  std::vector<Counts> counts(resolve_num_threads(num_threads));
  Progress progress("counting words", text_bytes(files), "bytes");
  const auto count = [&](Document&& document, size_t thread) {
    Counts& own = counts[thread];
    bpe.for_each_piece(
        document.text, [](TokenId) {},
        [&own](std::string_view piece) {
          const auto known = own.find(piece);
          if (known != own.end()) {
            ++known->second;
          } else {
            own.emplace(piece, 1);
          }
        });
  };
  for_each_document_unordered(files, num_threads, count, &progress);
  for (Counts& own : counts) {
    if (counts_.empty()) {
      counts_ = std::move(own);
      continue;
    }
    for (const auto& [word, count] : own) counts_[word] += count;
    own = {};
  }
}

std::vector<std::pair<std::string_view, int64_t>> WordCounts::sorted() const {
  std::vector<std::pair<std::string_view, int64_t>> words(counts_.begin(), counts_.end());
  std::sort(words.begin(), words.end());
  return words;
}

}  // namespace polygraft::tokenizer
