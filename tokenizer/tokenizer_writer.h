// tokenizer/tokenizer_writer.h: tokens and merges added to the text of a tokenizer.json, which
// keeps every other byte; and the text of a new, empty one.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// What is added, as texts in the byte alphabet.
struct VocabularyAdditions {
  std::vector<std::pair<std::string, TokenId>> tokens;
  std::vector<std::pair<std::string, std::string>> merges;
};

/// Merges take the form of those that are there ("a b" or ["a", "b"]; the latter where there are
/// none).
std::string add_to_tokenizer_json(std::string_view json, const VocabularyAdditions& additions,
                                  const fs::path& where);

/// The additions in the older pair of files that some folders carry beside tokenizer.json.
std::string add_to_vocab_json(std::string_view json, const VocabularyAdditions& additions,
                              const fs::path& where);
std::string add_to_merges_txt(std::string_view text, const VocabularyAdditions& additions);

struct NewTokenizerOptions {
  std::string pattern;  ///< "gpt2", "qwen2" or "llama3"
  std::string bos_token, eos_token;
};

/// tokenizer.json with the special tokens and the 256 bytes, without merges.
/// @throws ConfigError for an unknown pattern or an empty special token.
std::string empty_tokenizer_json(const NewTokenizerOptions& options);
std::string tokenizer_config_json(const NewTokenizerOptions& options);

}  // namespace polygraft::tokenizer
