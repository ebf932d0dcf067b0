// tokenizer/tokenizer_report.h: what a tokenizer does to texts, language by language, alone or
// against another one (a base against its extension).
//   fertility = tokens / words: all tokens, over the words of UAX #29 (word_breaker.h)
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// part / whole; 0 of nothing.
inline double ratio(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// One tokenizer on one language's text.
struct TokenUse {
  int64_t tokens = 0;
  int64_t single_byte_tokens = 0;  ///< tokens that stand for one byte
};

/// A word that takes many tokens, encoded with the space before it where it has one.
struct LongWord {
  std::string text;
  int64_t tokens = 0;
  std::optional<int64_t> tokens_against;
  int64_t count = 0;  ///< how often the text has it
};

struct LanguageReport {
  int64_t documents = 0, bytes = 0, words = 0;
  TokenUse use;
  std::optional<TokenUse> against;
  int64_t changed_documents = 0;  ///< that the two do not cut into the same tokens, by their texts
  std::vector<LongWord> long_words;  ///< most tokens first, at most 10

  double fertility(const TokenUse& of) const;        ///< tokens per word
  double bytes_per_token(const TokenUse& of) const;  ///< of UTF-8
  double single_byte_share(const TokenUse& of) const;
};

struct TokenizerReport {
  int64_t vocabulary = 0;  ///< entries that are not special
  int64_t unused = 0;      ///< of them, those that no text of any language has
  /// Entries that the other tokenizer lacks, and how many of them no text has.
  std::optional<int64_t> added, added_unused;
  std::map<std::string, LanguageReport> languages;

  Json to_json() const;
};

/// Reads every document of `texts` (files by language) once.
/// @param against null: a report on `tokenizer` alone. @throws what for_each_document() throws.
TokenizerReport report_tokenizer(const Tokenizer& tokenizer, const Tokenizer* against,
                                 const std::map<std::string, std::vector<fs::path>>& texts);

}  // namespace polygraft::tokenizer
