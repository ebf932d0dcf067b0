// tokenizer/warn_once.h: a warning that every copy of a tokenizer would give again. Private to
// tokenizer.
#pragma once
#include <string>

namespace polygraft::tokenizer {

/// Says a message once a process for the same `matter`: a base, its extensions and their copies all
/// share it.
void warn_once(const std::string& matter, const std::string& message);

}  // namespace polygraft::tokenizer
