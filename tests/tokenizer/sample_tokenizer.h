// tests/tokenizer/sample_tokenizer.h: small tokenizers and text files in a folder that goes away.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// A fresh folder below the system's temporary one, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view content) const;

 private:
  fs::path path_;
};

/// tokenizer.json with the 256 bytes as ids 0..255 (in byte order), then the results of `merges`
/// ("l o", "lo w"), GPT-2's pre-tokenizer, no normaliser, no added tokens.
Json sample_json(const std::vector<std::string>& merges = {});

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

}  // namespace polygraft::tokenizer
