// tests/fuzz/exercise.h: what every accepted tokenizer must survive.
#pragma once
#include <string>

#include "core/error.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// Reads by `parse`, then encodes and decodes. Errors of ours are what broken files deserve;
/// anything else is a finding.
template <class Parse>
void exercise(const Parse& parse) {
  static const std::string text = "Hello, w\u00F6rld  12345\n\u65E5\u672C <s> ab aab <0x41>\tz";
  try {
    const Tokenizer tokenizer(parse());
    const auto ids = tokenizer.encode(text);
    tokenizer.decode(ids);
    tokenizer.decode(ids, /*skip_special_tokens=*/true);
    for (const TokenId id : ids) tokenizer.token_bytes(id);
  } catch (const Error&) {
  }
}

}  // namespace polygraft::tokenizer
