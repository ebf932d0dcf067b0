// tokenizer/white_space.h: Unicode's White_Space at the ends of a text, as Rust's
// char::is_whitespace sees it.
#pragma once
#include <cstddef>
#include <string_view>

namespace polygraft::tokenizer {

/// Bytes of white space that `text` (valid UTF-8) begins with.
size_t leading_space(std::string_view text);

/// Length of `text` (valid UTF-8) without the white space it ends with.
size_t without_trailing_space(std::string_view text);

}  // namespace polygraft::tokenizer
