// model/checkpoint/strict_json.h: JSON of tensor files, where a repeated key is an attack or a
// defect, not a matter of taste.
#pragma once
#include <string_view>

#include "core/file.h"
#include "core/json_fwd.h"

namespace polygraft::model {

/// @throws FormatError for broken JSON (with the byte), a repeated key in an object, or nesting
/// deeper than max_depth.
Json parse_strict_json(std::string_view text, const fs::path& file, int max_depth);

}  // namespace polygraft::model
