// tokenizer/tokenizer_json.h: reads a Hugging Face tokenizer.json into a Tokenizer's parts.
// Every part that is not understood is refused by name; truncation and padding do not take part in
// encode() and are not looked at.
#pragma once
#include <memory>

#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {

/// @param text of a tokenizer.json. @param file names it in errors; BOS and EOS come
/// from the tokenizer_config.json in `config_folder`, if there is one.
std::shared_ptr<const Tokenizer::Impl> parse_tokenizer(const std::string& text,
                                                       const fs::path& file,
                                                       const fs::path& config_folder);

}  // namespace polygraft::tokenizer
