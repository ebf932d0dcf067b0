// expand/tokenizer_files.cpp: the list of tokenizer files, and their copy.
#include "expand/tokenizer_files.h"

#include <array>

#include "core/error.h"
#include "tokenizer/tokenizer_file.h"

namespace polygraft::expand {

namespace fs = std::filesystem;

namespace {

// The names that transformers' tokenizers read or write.
constexpr std::array kTokenizerFiles = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "tokenizer.model",
                                        "chat_template.jinja",
                                        "chat_template.json"};

}  // namespace

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  tokenizer::tokenizer_file_of(from);  // there must be one
  for (const char* name : kTokenizerFiles) {
    if (!fs::exists(from / name)) continue;
    std::error_code error;
    fs::copy_file(from / name, to / name, fs::copy_options::overwrite_existing, error);
    if (error) throw IoError(to / name, "cannot copy a tokenizer file: " + error.message());
  }
}

}  // namespace polygraft::expand
