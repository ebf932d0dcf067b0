// expand/packs/fuse.h: a model's packs made part of it, so that another language can be grafted on
// top: an ordinary model again, whose experts and rows are all old. Its tensors stay the same, byte
// for byte, and so does what it computes but for the order of sums (additions come after the rest
// while they are apart); what was added can no longer be masked, packed or detached.
#pragma once
#include <filesystem>

#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

/// @throws NotComparable when the model has no packs.
void require_packs(const model::ModelFolder& expanded);

/// Copies the expanded model's files into `out` (an AtomicFolder's path), without those that tell
/// what was added.
/// @throws as require_packs(); IoError.
void fuse_packs(const model::ModelFolder& expanded, const std::filesystem::path& out);

}  // namespace polygraft::expand
