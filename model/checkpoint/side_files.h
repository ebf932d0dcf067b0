// model/checkpoint/side_files.h: telling weights and tokenizers from what lies beside them in a
// model folder.
#pragma once
#include <string>

namespace polygraft::model {

inline constexpr const char* kIndexFile = "model.safetensors.index.json";

/// Whether a file of this name holds weights, or an index of them, in any format.
bool is_weight_file(const std::string& name);
/// Whether a file of this name is a tokenizer's or part of one, in any form.
bool is_tokenizer_file(const std::string& name);

}  // namespace polygraft::model
