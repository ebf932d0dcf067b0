// tests/tokenizer/script_boundary_test.cpp: which tokens join writing systems.
#include "tokenizer/script_boundary.h"

#include <catch2/catch.hpp>
#include <string>

namespace polygraft::tokenizer {

TEST_CASE("a token of one script crosses no boundary", "[tokenizer]") {
  for (const char* token :
       {"", " ", "  ", "the", " the", "'s", " naïve", "e\u0301", " дом", "नमस्ते", "สวัสดี",
        "食べる",    // Han and Hiragana: Japanese
        "カー",      // the length mark is Common, used with kana
        "한자漢字",  // Hangul and Han: Korean
        "()", " ->", "anak-anak", "مرحبا\u060c"}) {
    INFO(token);
    CHECK_FALSE(crosses_script(token));
  }
}

TEST_CASE("letters of two scripts do not join", "[tokenizer]") {
  for (const char* token : {"aд", " дx", "αb", "ひ한", "Aあ", "नम-ab", "ש\u0434", "あㄅ"}) {
    INFO(token);
    CHECK(crosses_script(token));
  }
}

TEST_CASE("digits join digits alone, after one space", "[tokenizer]") {
  for (const char* token : {"1", "12", " 12",
                            "\u2581"
                            "12",
                            "٣٤", "Ⅳ", "½"}) {
    INFO(token);
    CHECK_FALSE(crosses_script(token));
  }
  for (const char* token : {"a1", "1a", "1.", "-1", "  1", "1 ", "第1", "1\u0301"}) {
    INFO(token);
    CHECK(crosses_script(token));
  }
}

TEST_CASE("a part of a character is judged when it is complete", "[tokenizer]") {
  CHECK_FALSE(crosses_script(" \xD0"));
  CHECK_FALSE(crosses_script("a\xD0"));
  CHECK(crosses_script("a\xD0\xB4"));
  CHECK_FALSE(crosses_script("\xB4"));
  CHECK_FALSE(crosses_script("\xD0\xB4\xD0"));
  CHECK(crosses_script("\xB4\xD0\xB4z"));
}

}  // namespace polygraft::tokenizer
