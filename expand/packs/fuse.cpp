// expand/packs/fuse.cpp: see fuse.h.
#include "expand/packs/fuse.h"

#include "core/error.h"
#include "core/file.h"

namespace polygraft::expand {

void require_packs(const model::ModelFolder& expanded) {
  if (!expanded.manifest || expanded.manifest->packs.empty()) {
    throw NotComparable(expanded.path.string(), "a model without packs has nothing to fuse")
        .expected("an expanded model")
        .hint("a language can be grafted onto this one as it is");
  }
}

void fuse_packs(const model::ModelFolder& expanded, const fs::path& out) {
  require_packs(expanded);
  // Folders hold what is kept of the base and of packs; the model is what lies beside them.
  for (const fs::directory_entry& entry : fs::directory_iterator(expanded.path)) {
    const fs::path name = entry.path().filename();
    if (entry.is_regular_file() && name != model::kManifestFile)
      copy_bytes(entry.path(), out / name);
  }
}

}  // namespace polygraft::expand
