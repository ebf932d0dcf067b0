// tokenizer/tokenizer_file.h: which file of a folder is its tokenizer.
#pragma once
#include <filesystem>

namespace polygraft::tokenizer {

/// A file itself; of a folder tokenizer.json where there is one, else tokenizer.model.
/// @throws IoError for a folder with neither.
std::filesystem::path tokenizer_file_of(const std::filesystem::path& folder_or_file);

/// By its name: tokenizer.model, tokenizer.model.v3.
bool is_sentencepiece(const std::filesystem::path& file);

/// An extension writes one file; a second one beside it would go on saying what the first one said.
/// @throws NotBuiltError when the file's folder has both tokenizer.json and tokenizer.model.
void refuse_second_tokenizer(const std::filesystem::path& file);

/// What transformers 5.23 makes of a folder whose only tokenizer is tokenizer.model, for hints.
inline constexpr const char* kTransformersReadsModel =
    ", which transformers reads, too (that of a mixtral by LlamaTokenizer.from_pretrained: "
    "AutoTokenizer cuts a text's first token otherwise)";

}  // namespace polygraft::tokenizer
