// tokenizer/utf8.cpp: see utf8.h.
#include "tokenizer/utf8.h"

#include "core/text.h"

namespace polygraft::tokenizer {

void append_utf8(char32_t code_point, std::string& text) {
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
  } else if (code_point < 0x800) {
    push(0xC0 | (code_point >> 6));
    push(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    push(0xE0 | (code_point >> 12));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  } else {
    push(0xF0 | (code_point >> 18));
    push(0x80 | ((code_point >> 12) & 0x3F));
    push(0x80 | ((code_point >> 6) & 0x3F));
    push(0x80 | (code_point & 0x3F));
  }
}

namespace {

/// Length of the longest beginning of `bytes` that begins some valid sequence; at least 1.
size_t maximal_subpart(std::string_view bytes) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned char lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return 1;
  // The second byte's range is narrower for some leads: no overlong forms, no surrogates, no
  // code point above U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  const size_t length = utf8_length(lead);
  size_t taken = 1;
  while (taken < length && taken < bytes.size()) {
    const unsigned char next = byte(taken);
    const bool fits = taken == 1 ? next >= low && next <= high : (next & 0xC0) == 0x80;
    if (!fits) break;
    ++taken;
  }
  return taken;
}

}  // namespace

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (true) {
    const size_t invalid = find_invalid_utf8(bytes);
    text.append(bytes.substr(0, invalid));
    if (invalid == std::string_view::npos) return text;
    bytes.remove_prefix(invalid);
    text.append(kReplacementCharacter);
    bytes.remove_prefix(maximal_subpart(bytes));
  }
}

}  // namespace polygraft::tokenizer
