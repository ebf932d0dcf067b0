// tokenizer/grown_tokenizer.h: a tokenizer with more tokens behind its own, as files. The same
// source and additions give the same bytes.
#pragma once
#include <string>

#include "tokenizer/tokenizer_writer.h"

namespace polygraft::tokenizer {

class GrownTokenizer {
 public:
  /// @param file tokenizer.json, or tokenizer.model, whose merges follow from its pieces.
  /// @param additions tokens with the ids from `old.size()` on. @throws FormatError.
  GrownTokenizer(const fs::path& file, const Tokenizer& old, VocabularyAdditions additions);

  /// The result as a tokenizer. @param named_after stands in its errors.
  Tokenizer load(const fs::path& named_after) const;

  /// Writes it with what belongs beside it: the settings of the source's folder as they are, and
  /// its vocab.json and merges.txt with the additions. Makes `folder` if it is missing.
  void write(const fs::path& folder) const;

 private:
  void write_older_files(const fs::path& folder) const;

  fs::path file_;
  VocabularyAdditions additions_;
  std::string text_;
};

}  // namespace polygraft::tokenizer
