// tokenizer/newer_characters.h: code points assigned in Unicode 15.0, 15.1 and 16.0, by category.
// The reference's regular expressions (Oniguruma 6.9.10) know Unicode 16, PCRE2 10.42 knows 14: a
// pattern is completed by these ranges, so that both see the same letters and digits. With a newer
// PCRE2 the ranges repeat what it knows already.
#pragma once
#include <span>
#include <string_view>

namespace polygraft::tokenizer {

struct NewerCharacters {
  char32_t first, last;
  std::string_view category;  ///< general category, two letters
};

/// Sorted by code point, not overlapping.
std::span<const NewerCharacters> newer_characters();

}  // namespace polygraft::tokenizer
