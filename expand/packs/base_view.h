// expand/packs/base_view.h: an expanded model looked at as its base.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "expand/packs/base_snapshot.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

/// The model with the base's config.json, and the folder of the base's side files as its path: what
/// write_expanded() takes as the source of base rows. @throws FormatError without a snapshot.
model::ModelFolder base_view(const model::ModelFolder& expanded);

/// The bytes of a tensor that a file of the base stored, in the files that the model has. @throws
/// FormatError when the model does not have them.
std::vector<std::string_view> base_bytes(const model::ModelFolder& expanded,
                                         const BaseSnapshot& snapshot,
                                         const model::TensorSpec& spec);

/// Writes the base's folder, each file byte for byte. @throws FormatError when what is kept does
/// not add up to the base that the manifest names.
void restore_base(const model::ModelFolder& expanded, const std::filesystem::path& out);

}  // namespace polygraft::expand
