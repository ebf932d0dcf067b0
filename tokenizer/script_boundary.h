// tokenizer/script_boundary.h: which tokens would join what belongs to different writing systems.
// Reference: UTS #39, section 5.1 ("single script": the resolved script set is not empty), with the
// script extensions of UAX #24. Han goes with kana, with Hangul and with Bopomofo.
#pragma once
#include <string_view>

namespace polygraft::tokenizer {

/// Whether the token crosses a script boundary or a digit boundary.
/// - Characters of the scripts Common and Inherited (punctuation, combining marks) join any script.
/// - Digits (general category N) join digits alone; one space, or U+2581, may stand before them.
/// - A character whose bytes are not all there is judged by the merge that completes it.
/// @param bytes what the token stands for; need not be valid UTF-8.
bool crosses_script(std::string_view bytes);

}  // namespace polygraft::tokenizer
