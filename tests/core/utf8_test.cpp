// tests/core/utf8_test.cpp: UTF-8 validation against an oracle that decodes and looks at the code
// point.
#include <catch2/catch.hpp>
#include <initializer_list>
#include <string>

#include "core/text.h"

using namespace polygraft;

namespace {

std::string encode(uint32_t point) {
  const auto byte = [](uint32_t value) { return static_cast<char>(value); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xC0 | point >> 6), byte(0x80 | (point & 63))};
  if (point < 0x10000) {
    return {byte(0xE0 | point >> 12), byte(0x80 | (point >> 6 & 63)), byte(0x80 | (point & 63))};
  }
  return {byte(0xF0 | point >> 18), byte(0x80 | (point >> 12 & 63)), byte(0x80 | (point >> 6 & 63)),
          byte(0x80 | (point & 63))};
}

/// Length of the well-formed sequence at `at`, by definition: decode it, and encode the code point
/// again.
size_t oracle_length(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  size_t length = byte(0) < 0x80       ? 1
                  : byte(0) >> 5 == 6  ? 2
                  : byte(0) >> 4 == 14 ? 3
                  : byte(0) >> 3 == 30 ? 4
                                       : 0;
  if (length == 0 || at + length > text.size()) return 0;
  uint32_t point = length == 1 ? byte(0) : byte(0) & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
    point = point << 6 | (byte(i) & 63);
  }
  const bool is_scalar_value = point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
  return is_scalar_value && encode(point) == text.substr(at, length) ? length : 0;
}

size_t oracle(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t length = oracle_length(text, at);
    if (length == 0) return at;
    at += length;
  }
  return std::string::npos;
}

constexpr std::initializer_list<int> kEdgeBytes = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0,
                                                   0xBF, 0xC0, 0xC2, 0xDF, 0xE0, 0xED, 0xF0, 0xFF};

}  // namespace

TEST_CASE("every Unicode scalar value is valid UTF-8, and no surrogate is", "[core][utf8]") {
  std::string all;
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point < 0xD800 || point > 0xDFFF) all += encode(point);
  }
  REQUIRE(find_invalid_utf8(all) == std::string::npos);
  for (uint32_t point = 0xD800; point <= 0xDFFF; ++point) {
    REQUIRE(find_invalid_utf8("ab" + encode(point)) == 2);
  }
}

TEST_CASE("ill-formed sequences are found at their first byte", "[core][utf8]") {
  size_t num_different = 0;
  std::string text(3, 0);
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      for (const int third : kEdgeBytes) {
        text[0] = static_cast<char>(first), text[1] = static_cast<char>(second),
        text[2] = static_cast<char>(third);
        num_different += find_invalid_utf8(text) != oracle(text);
      }
    }
  }
  CHECK(num_different == 0);
  text.resize(4);
  for (int first = 0xE0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      for (const int third : kEdgeBytes) {
        for (const int fourth : kEdgeBytes) {
          text[0] = static_cast<char>(first), text[1] = static_cast<char>(second);
          text[2] = static_cast<char>(third), text[3] = static_cast<char>(fourth);
          num_different += find_invalid_utf8(text) != oracle(text);
        }
      }
    }
  }
  CHECK(num_different == 0);
}

TEST_CASE("the fast path for ASCII stops at the right byte", "[core][utf8]") {
  for (size_t length = 0; length < 40; ++length) {
    for (size_t bad = 0; bad < length; ++bad) {
      std::string text(length, 'x');
      text[bad] = '\x80';
      REQUIRE(find_invalid_utf8(text) == bad);
      text[bad] = '\xE2';  // a lead byte whose followers are 'x', or cut off
      REQUIRE(find_invalid_utf8(text) == bad);
    }
    REQUIRE(find_invalid_utf8(std::string(length, 'x') + "\xE2\x82\xAC") == std::string::npos);
    REQUIRE(find_invalid_utf8(std::string(length, 'x') + "\xE2\x82") == length);
  }
}

TEST_CASE("what is no UTF-8 becomes the replacement character, byte by byte", "[core][utf8]") {
  const std::string mark = "\xEF\xBF\xBD";
  CHECK(valid_utf8("") == "");
  CHECK(valid_utf8("na\xC3\xAFve") == "na\xC3\xAFve");
  CHECK(valid_utf8("a\xFF\xC3") == "a" + mark + mark);
  CHECK(without_byte_order_mark("\xEF\xBB\xBFx") == "x");
  CHECK(without_byte_order_mark("x\xEF\xBB\xBF") == "x\xEF\xBB\xBF");
  CHECK(is_blank(" \t\r\n"));
  CHECK_FALSE(is_blank(" 0 "));
}

TEST_CASE("characters are counted, not their bytes", "[core][utf8]") {
  CHECK(num_characters("") == 0);
  CHECK(num_characters("abc") == 3);
  CHECK(num_characters("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80x") == 4);
}
