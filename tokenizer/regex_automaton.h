// tokenizer/regex_automaton.h: a regular expression as a table: one look-up a code point, no
// backtracking. Finds what a backtracking matcher finds first, not what is longest: a state is the
// list of the ways still open in their order, and a way that has matched ends those after it
// (Thompson 1968; Cox 2007, "leftmost-first").
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/regex_tree.h"
#include "tokenizer/search_budget.h"

namespace polygraft::tokenizer {

class RegexAutomaton {
 public:
  /// None when the table would be too large. @param tree of an expression that is never empty.
  static std::unique_ptr<const RegexAutomaton> build(const RegexNode& tree);

  /// The first match in valid UTF-8 at or after `from`, a character's first byte. A search that
  /// spends the budget finds nothing and leaves in `begin` where it stopped.
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end,
            SearchBudget& budget) const;

 private:
  friend class AutomatonBuilder;
  static constexpr size_t kNone = SIZE_MAX;

  /// Where the match that begins at `begin` ends, or kNone; what is before `seen` was looked at.
  size_t match_end(std::string_view text, size_t begin, size_t& seen) const;
  uint8_t class_of(char32_t code_point) const {
    return classes_[page_[code_point >> 8] + (code_point & 0xFF)];
  }

  /// [state's row + class of the next code point, or num_classes_ at the end of the text]:
  /// 2 * row of the state behind it, + 1 when there is a match before it. Row 0: nothing is open.
  std::vector<uint32_t> transitions_;
  uint32_t start_row_ = 0, num_classes_ = 0;
  std::array<uint8_t, 128> ascii_class_{};
  std::array<uint8_t, 256> hopeless_length_{};  ///< by lead byte: no match begins so; else 0
  std::array<uint16_t, (CodePointSet::kLast + 1) / 256> page_{};  ///< offsets into classes_
  std::vector<uint8_t> classes_;
};

}  // namespace polygraft::tokenizer
