// tokenizer/replacement.h: the Replace of normalisers and decoders, and the `pattern` that it
// shares with Split. Reference: Hugging Face tokenizers, normalizers/replace.rs.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/json_fwd.h"
#include "tokenizer/pattern.h"

namespace polygraft::tokenizer {

/// {"String": "..."} or {"Regex": "..."}. @throws FormatError for anything else.
Pattern read_pattern(const Json& json, const std::filesystem::path& where);

/// Every match of a pattern becomes the same text.
class Replacement {
 public:
  /// {"pattern": {...}, "content": "..."}.
  static Replacement from_json(const Json& json, const std::filesystem::path& where);

  bool removes() const { return content_.empty(); }

  /// The changed text, or nothing where `text` has no match.
  std::optional<std::string> apply(std::string_view text) const;

 private:
  bool find(std::string_view text, size_t from, Span& match, SearchBudget& budget) const;

  std::string literal_;  ///< what is replaced; empty when `regex_` says it
  std::optional<Pattern> regex_;
  std::string content_;
};

}  // namespace polygraft::tokenizer
