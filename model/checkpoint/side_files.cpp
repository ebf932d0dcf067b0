// model/checkpoint/side_files.cpp: see side_files.h.
#include "model/checkpoint/side_files.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/manifest.h"

namespace polygraft::model {
namespace {

// Weights in any format: of the base, hence wrong beside the new ones.
constexpr std::array<std::string_view, 11> kWeightSuffixes = {
    ".safetensors", ".safetensors.index.json",
    ".bin",         ".bin.index.json",
    ".pt",          ".pth",
    ".ckpt",        ".gguf",
    ".h5",          ".msgpack",
    ".onnx"};

// What transformers' tokenizers write, in all their forms.
constexpr std::array<std::string_view, 11> kTokenizerFiles = {"tokenizer.json",
                                                              "tokenizer_config.json",
                                                              "special_tokens_map.json",
                                                              "added_tokens.json",
                                                              "vocab.json",
                                                              "merges.txt",
                                                              "vocab.txt",
                                                              "tokenizer.model",
                                                              "spiece.model",
                                                              "tekken.json",
                                                              "sentencepiece.bpe.model"};

}  // namespace

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

bool is_weight_file(const std::string& name) {
  return std::any_of(kWeightSuffixes.begin(), kWeightSuffixes.end(),
                     [&](std::string_view suffix) { return name.ends_with(suffix); });
}

bool is_tokenizer_file(const std::string& name) {
  return std::find(kTokenizerFiles.begin(), kTokenizerFiles.end(), name) != kTokenizerFiles.end();
}

void copy_side_files(const fs::path& from, const fs::path& to, bool without_tokenizer) {
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file() || name == "config.json" || name == kManifestFile) continue;
      if (is_weight_file(name) || (without_tokenizer && is_tokenizer_file(name))) continue;
      copy_bytes(entry.path(), to / name);
    }
  } catch (const fs::filesystem_error& error) {
    throw io_error(error.path1(), "list a model's files", error.code().value());
  }
}

}  // namespace polygraft::model
