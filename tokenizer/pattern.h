// tokenizer/pattern.h: a compiled regular expression: a table of states where the expression allows
// it (regex_automaton.h), which all released patterns do, else PCRE2 with JIT. Both find the same.
#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "tokenizer/regex_automaton.h"
#include "tokenizer/search_budget.h"

namespace polygraft::tokenizer {

/// Half-open byte range of a text.
struct Span {
  size_t begin = 0, end = 0;
};

enum class PatternEngine { kFastest, kPcre2 };

/// Cheap to copy, safe to use from several threads at once.
class Pattern {
 public:
  /// @param regex in the dialect of tokenizer.json. @param where the file named in errors.
  /// @throws NotBuiltError for a construct without an exact translation, FormatError for a broken
  /// expression; both also for one that can match the empty string.
  Pattern(const std::string& regex, const std::filesystem::path& where,
          PatternEngine engine = PatternEngine::kFastest);
  /// Matches `text` itself.
  static Pattern literal(std::string_view text, const std::filesystem::path& where);

  /// The first match at or after `from`. `text` must be valid UTF-8, `from` a character's first
  /// byte. @param budget of all searches in this text.
  /// @throws FormatError with the offset in `text` when the budget or PCRE2's limits are exceeded.
  bool find(std::string_view text, size_t from, Span& match, SearchBudget& budget) const {
    if (!automaton_) return find_by_pcre2(text, from, match, budget);
    const bool found = automaton_->find(text, from, match.begin, match.end, budget);
    if (budget.is_spent()) give_up(text, match.begin, "too many bytes looked at in vain");
    return found;
  }
  bool has_automaton() const { return automaton_ != nullptr; }

 private:
  struct Code;
  Pattern(std::shared_ptr<const Code> code, std::string_view pcre2, PatternEngine engine);
  bool find_by_pcre2(std::string_view text, size_t from, Span& match, SearchBudget& budget) const;
  [[noreturn]] void give_up(std::string_view text, size_t from, const std::string& reason) const;
  std::shared_ptr<const Code> code_;
  std::shared_ptr<const RegexAutomaton> automaton_;  ///< none: by PCRE2
};

}  // namespace polygraft::tokenizer
