// model/checkpoint/rope_config.h: rotary position parameters as config.json states them, in
// transformers' old and new form.
#pragma once
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/model_config.h"

namespace polygraft::model {

constexpr int64_t kMostPositions = int64_t{1} << 40;  ///< above it a config is taken for damaged

/// Reads `rope_parameters` (transformers 5) or `rope_theta` with `rope_scaling` (transformers 4).
/// @throws NotBuiltError for a rope type we lack; FormatError for parameters that are missing,
/// contradictory or impossible.
RopeConfig parse_rope(const JsonFields& config, double default_theta);

}  // namespace polygraft::model
