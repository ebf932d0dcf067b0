// model/checkpoint/expected_tensors.h: the tensors that a config calls for, one at a time.
#pragma once
#include <functional>
#include <string_view>

#include "model/checkpoint/families.h"

namespace polygraft::model {

/// @param meaning the shape in words of config.json: "num_experts x hidden_size".
using ExpectedVisitor = std::function<void(const TensorSpec& spec, std::string_view meaning)>;

/// Visits layer after layer. One at a time, so that a config that claims a billion experts
/// fails at the first tensor that is not there, and not by running out of memory.
void visit_expected_tensors(const ModelConfig& config, const FolderLayout& layout,
                            const ExpectedVisitor& visit);

}  // namespace polygraft::model
