// tokenizer/byte_alphabet.cpp: see byte_alphabet.h.
#include "tokenizer/byte_alphabet.h"

#include <array>

#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

constexpr char32_t kFirstSubstitute = 256;
constexpr char32_t kNumCharacters = 324;  // one above the last substitute

/// Latin-1 characters that print as themselves stand for their own byte.
constexpr bool is_printable(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<int, kNumCharacters> bytes;

  Alphabet() {
    bytes.fill(-1);
    char32_t substitute = kFirstSubstitute;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char32_t character = is_printable(byte) ? byte : substitute++;
      append_utf8(character, characters[byte]);
      bytes[character] = static_cast<int>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string_view alphabet_character(uint8_t byte) { return alphabet().characters[byte]; }

int alphabet_byte(char32_t character) {
  return character < kNumCharacters ? alphabet().bytes[character] : -1;
}

std::optional<std::string> from_alphabet(std::string_view token) {
  std::string bytes;
  bytes.reserve(token.size());
  for (size_t position = 0; position < token.size();) {
    const int byte = alphabet_byte(next_code_point(token, position));
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

}  // namespace polygraft::tokenizer
