// tokenizer/regex_dialect.h: a tokenizer.json pattern, written for Oniguruma, said in PCRE2's
// words. The two differ in white space (U+180E), in Unicode's version, in escapes and in `{n,m}+`.
// What has no exact translation is refused by name, never guessed.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace polygraft::tokenizer {

/// @param where the file named in errors. @throws NotBuiltError naming the construct.
std::string to_pcre2(std::string_view oniguruma, const std::filesystem::path& where);

}  // namespace polygraft::tokenizer
