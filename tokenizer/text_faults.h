// tokenizer/text_faults.h: what is wrong with a text file that cannot be read as documents, told by
// what it looks like, and the command that puts it right.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "core/json.h"

namespace polygraft::tokenizer {

/// "FILE:LINE"
std::string place_of(const std::filesystem::path& file, int64_t line_number);

/// ".txt" or ".jsonl", of the name without .gz or .zst. @throws FormatError for any other.
std::string require_known_extension(const std::filesystem::path& file);

/// @throws FormatError naming file and line unless the line is UTF-8 without a zero byte; of a
/// file's first line it says which other kind of file begins so.
void require_text_line(const std::filesystem::path& file, int64_t line_number,
                       std::string_view line);

/// @throws FormatError for a document's text with a zero character, which JSON can spell.
void require_no_zero(const std::string& where, std::string_view text);

/// @throws FormatError naming the keys that a line without "text" has.
void require_text_key(const std::string& where, const Json& document);

/// What to do about compressed data that cannot be read.
std::string compression_hint(const std::filesystem::path& file);

}  // namespace polygraft::tokenizer
