// tokenizer/utf8.h: code points in and out of UTF-8 text that is already known to be valid.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/text.h"

namespace polygraft::tokenizer {

/// Bytes of the sequence that `lead` begins.
inline size_t utf8_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

/// The code point at `position`, which moves behind it. `text` must be valid from there on.
inline char32_t next_code_point(std::string_view text, size_t& position) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(position);
  const size_t length = utf8_length(lead);
  char32_t code_point = length == 1 ? lead : lead & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    code_point = (code_point << 6) | (byte(position + i) & 0x3Fu);
  }
  position += length;
  return code_point;
}

/// The last code point of `text`, which is valid and not empty, and where it begins.
inline char32_t last_code_point(std::string_view text, size_t& begin) {
  begin = text.size() - 1;
  while (begin > 0 && is_continuation_byte(text[begin])) --begin;
  size_t position = begin;
  return next_code_point(text, position);
}

void append_utf8(char32_t code_point, std::string& text);

/// Every maximal part that is not UTF-8 becomes one U+FFFD (Unicode 16, section 3.9, "U+FFFD
/// Substitution of Maximal Subparts"), as Rust's String::from_utf8_lossy does.
std::string to_valid_utf8(std::string_view bytes);

}  // namespace polygraft::tokenizer
