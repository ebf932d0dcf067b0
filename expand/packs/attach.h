// expand/packs/attach.h: packs put onto a base, and taken away again. What results is a function of
// the base and the set of packs, which are ordered by name: when each came leaves no trace.
//   experts      per layer, pack after pack
//   vocabulary   rows pack after pack; a token that two packs bring has the first one's row
//   merges       pack after pack, after the base's
// attach(base, pack(expanded)) = expanded, and detaching the last pack gives the base, byte for
// byte. Everything is streamed: memory does not grow with the model.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "expand/packs/pack.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

struct AttachOptions {
  /// A pack of another base is attached if its shapes fit, with a warning.
  bool allow_base_mismatch = false;
};

/// Attaches packs to a base, or to a model that has packs already, and writes the result into `out`
/// (an AtomicFolder's path). A base is hashed while it is copied.
/// @throws NotComparable when a pack belongs to another base or is attached already, with both
/// hashes or shapes; whatever open_pack() throws.
void attach_packs(const model::ModelFolder& model, const std::vector<std::filesystem::path>& packs,
                  const AttachOptions& options, const std::filesystem::path& out);

/// Writes the model without one of its packs. The last one leaves the base as it was, each file
/// byte for byte.
/// @throws ConfigError when there is no such pack; FormatError when what is kept of the base does
/// not add up to it.
void detach_pack(const model::ModelFolder& expanded, const std::string& name,
                 const std::filesystem::path& out);

}  // namespace polygraft::expand
