// expand/packs/base_check.h: does a pack belong to a base?
#pragma once
#include <string>

#include "expand/packs/attach.h"
#include "expand/packs/pack.h"
#include "model/checkpoint/model_folder.h"

namespace polygraft::expand {

struct BaseHashes {
  std::string tensors;  ///< empty: not known yet; what the pack says is taken for it
  std::string tokenizer;
};

/// @param view of the base. With options.allow_base_mismatch the pack takes on this base's
/// identity, loudly; the hash of its tensors must be known then.
/// @throws NotComparable with what was expected and what was found.
void check_base(OpenPack& open, const model::ModelFolder& view, const BaseHashes& hashes,
                const AttachOptions& options);

}  // namespace polygraft::expand
