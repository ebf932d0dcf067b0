// model/checkpoint/attention_window.h: sliding-window attention as config.json states it.
#pragma once
#include <cstdint>
#include <vector>

#include "model/checkpoint/families.h"
#include "model/checkpoint/json_fields.h"

namespace polygraft::model {

/// How many tokens each layer's attention sees, the token itself included; 0: all before it. Empty
/// when no layer has a window.
/// @throws FormatError for a window or a list of layer types that contradicts the rest of the
/// config; NotBuiltError for a kind of attention layer that is neither full nor windowed.
std::vector<int64_t> read_windows(const JsonFields& config, const Family& family,
                                  int64_t num_layers);

}  // namespace polygraft::model
