// tokenizer/byte_alphabet.h: GPT-2's alphabet, one printable character for each of the 256 bytes.
// Tokens of byte-level BPE are spelled in it: " the" is "Ġthe". Reference: Radford et al. 2019,
// encoder.py `bytes_to_unicode`; Hugging Face tokenizers `bytes_char`.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace polygraft::tokenizer {

/// The UTF-8 of the character that stands for `byte`.
std::string_view alphabet_character(uint8_t byte);

/// The byte that a character stands for, or -1 when it is not in the alphabet.
int alphabet_byte(char32_t character);

/// The bytes that `token` (valid UTF-8) spells, or nothing when a character is not in the alphabet.
std::optional<std::string> from_alphabet(std::string_view token);

}  // namespace polygraft::tokenizer
