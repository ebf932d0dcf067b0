// tokenizer/pattern.h: a compiled regular expression (PCRE2 with JIT, UTF-8, Unicode properties).
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace polygraft::tokenizer {

/// Half-open byte range of a text.
struct Span {
  size_t begin = 0, end = 0;
};

/// Cheap to copy, safe to use from several threads at once.
class Pattern {
 public:
  /// @param regex in the dialect of tokenizer.json. @param where the file named in errors.
  /// @throws NotBuiltError for a construct without an exact translation, FormatError for a broken
  /// expression; both also for one that can match the empty string.
  Pattern(const std::string& regex, const std::filesystem::path& where);
  /// Matches `text` itself.
  static Pattern literal(std::string_view text, const std::filesystem::path& where);

  /// The first match at or after `from`. `text` must be valid UTF-8, `from` a character's first
  /// byte.
  /// @throws FormatError with the offset in `text` when the matcher's limits are exceeded.
  bool find(std::string_view text, size_t from, Span& match) const;

 private:
  struct Code;
  explicit Pattern(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace polygraft::tokenizer
