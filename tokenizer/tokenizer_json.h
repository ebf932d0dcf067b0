// tokenizer/tokenizer_json.h: reads a Hugging Face tokenizer.json into a Tokenizer's parts.
// Every part that is not understood is refused by name; the post-processor, truncation and padding
// do not take part in encode() and are not looked at.
#pragma once
#include <memory>

#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {

/// @throws FormatError or NotBuiltError as Tokenizer::load says.
std::shared_ptr<const Tokenizer::Impl> read_tokenizer(const fs::path& folder_or_file);

/// The same from the text of a tokenizer.json. @param file names it in errors; BOS and EOS come
/// from the tokenizer_config.json in `config_folder`, if there is one.
std::shared_ptr<const Tokenizer::Impl> parse_tokenizer(const std::string& text,
                                                       const fs::path& file,
                                                       const fs::path& config_folder);

/// The file that `folder_or_file` means. @throws IoError when there is none.
fs::path tokenizer_json_of(const fs::path& folder_or_file);

}  // namespace polygraft::tokenizer
