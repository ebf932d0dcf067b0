// tokenizer/script_boundary.cpp: see script_boundary.h.
#include "tokenizer/script_boundary.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <array>
#include <bitset>

namespace polygraft::tokenizer {
namespace {

using Scripts = std::bitset<USCRIPT_CODE_LIMIT>;
constexpr UChar32 kSentencePieceSpace = 0x2581;

/// Languages that mix scripts in a word: each script's sets that stand for such a mixture.
void add_mixtures(Scripts& scripts) {
  const bool han = scripts[USCRIPT_HAN];
  if (han || scripts[USCRIPT_HIRAGANA] || scripts[USCRIPT_KATAKANA]) scripts.set(USCRIPT_JAPANESE);
  if (han || scripts[USCRIPT_HANGUL]) scripts.set(USCRIPT_KOREAN);
  if (han || scripts[USCRIPT_BOPOMOFO]) scripts.set(USCRIPT_HAN_WITH_BOPOMOFO);
}

/// The scripts a character is used in; all of them for Common and Inherited.
Scripts scripts_of(UChar32 character) {
  std::array<UScriptCode, 64> codes{};
  UErrorCode status = U_ZERO_ERROR;
  const int32_t count = uscript_getScriptExtensions(character, codes.data(),
                                                    static_cast<int32_t>(codes.size()), &status);
  Scripts scripts;
  if (U_FAILURE(status)) return scripts.set();
  for (int32_t i = 0; i < count; ++i) {
    const UScriptCode code = codes[static_cast<size_t>(i)];
    if (code == USCRIPT_COMMON || code == USCRIPT_INHERITED) return scripts.set();
    scripts.set(static_cast<size_t>(code));
  }
  add_mixtures(scripts);
  return scripts;
}

bool is_digit(UChar32 character) { return (U_GET_GC_MASK(character) & U_GC_N_MASK) != 0; }

}  // namespace

bool crosses_script(std::string_view bytes) {
  const auto length = static_cast<int32_t>(bytes.size());
  Scripts shared = Scripts().set();
  bool digits = false, others = false;
  for (int32_t at = 0; at < length;) {
    const bool first = at == 0;
    UChar32 character = 0;
    U8_NEXT(bytes.data(), at, length, character);
    if (character < 0) continue;  // part of a character
    if (first && (character == ' ' || character == kSentencePieceSpace)) continue;
    (is_digit(character) ? digits : others) = true;
    shared &= scripts_of(character);
  }
  return shared.none() || (digits && others);
}

}  // namespace polygraft::tokenizer
