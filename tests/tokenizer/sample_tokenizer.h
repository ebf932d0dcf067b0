// tests/tokenizer/sample_tokenizer.h: small tokenizers, and what their tests ask of them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "tests/core/temporary_folder.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

using testing::TemporaryFolder;

/// tokenizer.json with the 256 bytes as ids 0..255 (in byte order), then the results of `merges`
/// ("l o", "lo w"), GPT-2's pre-tokenizer, no normaliser, no added tokens.
Json sample_json(const std::vector<std::string>& merges = {});

/// The tokenizer.json form of a SentencePiece model: <unk>, the 256 byte tokens, `characters`, then
/// what `merges` make; a space is put in front of a text, and nothing cuts it.
Json character_json(const std::vector<std::string>& characters,
                    const std::vector<std::string>& merges);

/// "<0x0A>"
std::string byte_token(int byte);

/// 150 lines. Words over a small alphabet in a language's own preference for letters, so that
/// languages share pairs.
std::string invented_text(uint64_t seed, const std::string& letters);

/// An entry of "added_tokens", special, with the flags given as `{"lstrip": true}`.
Json added_token_json(int id, const std::string& content, const Json& flags = Json::object());

Tokenizer load_json(const Json& json);

/// What encode() gives, as token texts.
std::vector<std::string> tokens_of(const Tokenizer& tokenizer, std::string_view text);

/// The whole message of the error that `action` throws, or "" when it throws none of the given
/// type.
template <class ErrorType, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return {};
}

/// Whether a message names `part`; a failing test prints the message.
bool has(const std::string& message, std::string_view part);

}  // namespace polygraft::tokenizer
