// tokenizer/word_counts.cpp: see word_counts.h.
#include "tokenizer/word_counts.h"

#include <algorithm>

#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {

void WordCounts::add_text(const Tokenizer& tokenizer, std::string_view text) {
  bpe_of(tokenizer).for_each_piece(
      text, [](TokenId) {},
      [this](std::string_view piece) {
        const auto known = counts_.find(piece);
        if (known != counts_.end()) {
          ++known->second;
        } else {
          counts_.emplace(piece, 1);
        }
      });
}

void WordCounts::add_files(const Tokenizer& tokenizer, const std::vector<fs::path>& files) {
  for (const fs::path& file : files) {
    for_each_document(file, [&](Document&& document) {
      throw_if_stopped();
      add_text(tokenizer, document.text);
    });
  }
}

std::vector<std::pair<std::string_view, int64_t>> WordCounts::sorted() const {
  std::vector<std::pair<std::string_view, int64_t>> words(counts_.begin(), counts_.end());
  std::sort(words.begin(), words.end());
  return words;
}

}  // namespace polygraft::tokenizer
