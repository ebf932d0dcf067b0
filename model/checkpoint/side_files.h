// model/checkpoint/side_files.h: what a model folder holds besides weights: generation_config.json,
// chat template, licence, model card.
#pragma once
#include <string>
#include <string_view>

#include "core/file.h"

namespace polygraft::model {

inline constexpr const char* kIndexFile = "model.safetensors.index.json";

/// Whether it names a file in the folder itself, and nothing elsewhere.
bool is_plain_file_name(std::string_view name);
/// Whether a file of this name holds weights, or an index of them, in any format.
bool is_weight_file(const std::string& name);
/// Whether a file of this name is a tokenizer's or part of one, in any form.
bool is_tokenizer_file(const std::string& name);

/// Copies every file of a model folder except config.json, the tensors and their index, tokenizer
/// files when `without_tokenizer`, and polygraft.json. @throws IoError.
void copy_side_files(const fs::path& from, const fs::path& to, bool without_tokenizer);

}  // namespace polygraft::model
