// expand/tokenizer_files.h: taking along the files that make up a tokenizer in a Hugging Face
// folder.
#pragma once
#include <filesystem>

namespace polygraft::expand {

/// Copies every tokenizer file that `from` has into the folder `to`.
/// @throws IoError when `from` has no tokenizer.json and no tokenizer.model, or a copy fails.
void copy_tokenizer_files(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace polygraft::expand
