// model/checkpoint/serving_lint.h: what serving engines reject or serve slowly, told from shapes
// alone.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace polygraft::model {

/// What a model looks like to an engine that is to serve it.
struct ServingShape {
  int64_t num_experts = 0;  ///< per layer; 0: dense
  int64_t vocab_rows = 0;
  int64_t tokenizer_size = 0;
  bool has_generation_config = false;
};

/// One sentence each; none for a model that every engine takes as it is.
std::vector<std::string> serving_warnings(const ServingShape& shape);

}  // namespace polygraft::model
