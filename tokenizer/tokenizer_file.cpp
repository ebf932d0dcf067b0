// tokenizer/tokenizer_file.cpp: see tokenizer_file.h.
#include "tokenizer/tokenizer_file.h"

#include <string>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::tokenizer {

fs::path tokenizer_file_of(const fs::path& folder_or_file) {
  if (!fs::is_directory(folder_or_file)) return folder_or_file;
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (fs::exists(folder_or_file / name)) return folder_or_file / name;
  }
  throw IoError(folder_or_file, "no tokenizer.json and no tokenizer.model")
      .expected("a Hugging Face model folder");
}

bool is_sentencepiece(const fs::path& file) {
  const std::string name = file.filename().string();
  return !name.ends_with(".json") && name.find(".model") != std::string::npos;
}

void refuse_second_tokenizer(const fs::path& file) {
  const fs::path folder = file.parent_path();
  if (!fs::exists(folder / "tokenizer.json") || !fs::exists(folder / "tokenizer.model")) return;
  throw NotBuiltError(
      "extending a tokenizer that is there twice, which would leave two that differ")
      .expected("tokenizer.json or tokenizer.model, not both")
      .found(folder.string())
      .hint(concat(
          "keep the one that the model is used with: tokenizer.json when it is byte-level BPE, "
          "else tokenizer.model",
          kTransformersReadsModel));
}

}  // namespace polygraft::tokenizer
