// tokenizer/white_space.cpp: see white_space.h.
#include "tokenizer/white_space.h"

#include <unicode/uchar.h>

#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {

size_t leading_space(std::string_view text) {
  size_t end = 0;
  for (size_t position = 0; position < text.size(); end = position) {
    if (u_isUWhiteSpace(static_cast<UChar32>(next_code_point(text, position))) == 0) break;
  }
  return end;
}

size_t without_trailing_space(std::string_view text) {
  size_t end = text.size();
  for (size_t begin = 0; end > 0; end = begin) {
    if (u_isUWhiteSpace(static_cast<UChar32>(last_code_point(text.substr(0, end), begin))) == 0)
      break;
  }
  return end;
}

}  // namespace polygraft::tokenizer
