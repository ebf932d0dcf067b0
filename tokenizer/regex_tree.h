// tokenizer/regex_tree.h: the regular expressions that an automaton can match: classes of code
// points in sequence, in choice and repeated, with lookahead of a single code point.
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/code_point_set.h"

namespace polygraft::tokenizer {

struct RegexNode {
  enum class Kind {
    kClass,      ///< one code point of `set`
    kAhead,      ///< the next code point is one of `set`; not at the end
    kNotAhead,   ///< the next code point is none of `set`, or there is none
    kSequence,   ///< `parts` one after the other
    kAlternate,  ///< the first of `parts` with which the whole expression matches
    kRepeat      ///< the only part, `least` to `most` times
  };
  static constexpr int kNoLimit = -1;

  Kind kind = Kind::kSequence;
  CodePointSet set;
  std::vector<RegexNode> parts;
  int least = 1, most = 1;
  bool lazy = false;  ///< as few times as possible first

  bool matches_empty() const;
  CodePointSet first_code_points() const;  ///< of what is not empty, lookahead aside
};

/// @param pcre2 a pattern that PCRE2 compiles. None when it uses more than stands above, or when
/// the order in which PCRE2 tries its ways could not be kept.
std::optional<RegexNode> parse_regex(std::string_view pcre2);

}  // namespace polygraft::tokenizer
