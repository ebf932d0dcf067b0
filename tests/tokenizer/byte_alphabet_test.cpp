// tests/tokenizer/byte_alphabet_test.cpp
#include "tokenizer/byte_alphabet.h"

#include <catch2/catch.hpp>
#include <set>

#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {

TEST_CASE("each byte has its own character, and it leads back", "[tokenizer]") {
  std::set<std::string_view> characters;
  for (int byte = 0; byte < 256; ++byte) {
    const auto character = alphabet_character(static_cast<uint8_t>(byte));
    characters.insert(character);
    size_t position = 0;
    CHECK(alphabet_byte(next_code_point(character, position)) == byte);
    CHECK(position == character.size());
  }
  CHECK(characters.size() == 256);
}

TEST_CASE("the alphabet is GPT-2's", "[tokenizer]") {
  CHECK(alphabet_character(' ') == "Ġ");
  CHECK(alphabet_character('\n') == "Ċ");
  CHECK(alphabet_character('t') == "t");
  CHECK(alphabet_character(0xC3) == "Ã");
  CHECK(alphabet_character(0xAD) == "Ń");  // the soft hyphen is the last substitute
  CHECK(from_alphabet("ĠtheĊ") == " the\n");
  CHECK_FALSE(from_alphabet("a b").has_value());
  CHECK_FALSE(from_alphabet("｜").has_value());
}

TEST_CASE("broken UTF-8 becomes one U+FFFD for each maximal part", "[tokenizer]") {
  CHECK(to_valid_utf8("aé漢🙂") == "aé漢🙂");
  CHECK(to_valid_utf8("\xE6\xBC!") == "\uFFFD!");      // cut off after two bytes
  CHECK(to_valid_utf8("\xC0\xAF") == "\uFFFD\uFFFD");  // overlong: no byte begins anything
  CHECK(to_valid_utf8("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");  // a surrogate
  CHECK(to_valid_utf8("\xF0\x9F\x99") == "\uFFFD");
  CHECK(to_valid_utf8("\x80x\xFF") == "\uFFFDx\uFFFD");
}

TEST_CASE("code points survive encoding and decoding", "[tokenizer]") {
  for (const char32_t code_point :
       {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xFFFFu, 0x10000u, 0x10FFFFu}) {
    std::string text;
    append_utf8(code_point, text);
    size_t position = 0;
    CHECK(next_code_point(text, position) == code_point);
    CHECK(position == text.size());
  }
}

}  // namespace polygraft::tokenizer
