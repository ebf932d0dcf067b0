// tokenizer/word_counts.h: the distinct pieces of a text and how often each occurs.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class WordCounts {
 public:
  /// Counts the pieces between added tokens, as `tokenizer` cuts the documents of `files`, on up to
  /// `num_threads` threads (0: the default of core/parallel.h). The counts do not depend on how
  /// many there are.
  void add_files(const Tokenizer& tokenizer, const std::vector<fs::path>& files,
                 int num_threads = 0);

  /// Sorted by bytes, so that nothing depends on hashing.
  std::vector<std::pair<std::string_view, int64_t>> sorted() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Counts = std::unordered_map<std::string, int64_t, Hash, std::equal_to<>>;
  Counts counts_;
};

}  // namespace polygraft::tokenizer
