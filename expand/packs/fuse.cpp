// expand/packs/fuse.cpp: see fuse.h.
#include "expand/packs/fuse.h"

#include "core/error.h"
#include "core/file.h"

namespace polygraft::expand {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPieceBytes = size_t{64} << 20;  // written back while the next one is read

void copy_whole(const fs::path& from, const fs::path& to) {
  const MappedFile source(from);
  AtomicFile target(to);
  for (size_t first = 0; first < source.size(); first += kPieceBytes) {
    target.write(source.text().substr(first, kPieceBytes));
  }
  target.commit();
}

}  // namespace

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
      copy_whole(entry.path(), out / name);
  }
}

}  // namespace polygraft::expand
