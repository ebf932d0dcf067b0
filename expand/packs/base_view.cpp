// expand/packs/base_view.cpp: see base_view.h.
#include "expand/packs/base_view.h"

#include <algorithm>

#include "core/background.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/mapped_pages.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

using model::ModelFolder;
using model::TensorSpec;

ModelFolder base_view(const ModelFolder& expanded) {
  const BaseSnapshot snapshot = BaseSnapshot::open(expanded.path);
  ModelFolder view = expanded;
  view.path = snapshot.files;
  view.config_json = read_ordered_json(snapshot.files / "config.json");
  view.config.tied_embeddings = expanded.manifest->base_tied_embeddings;
  return view;
}

std::vector<std::string_view> base_bytes(const ModelFolder& expanded, const BaseSnapshot& snapshot,
                                         const TensorSpec& spec) {
  if (const auto found = snapshot.dropped.find(spec.name); found != snapshot.dropped.end()) {
    return {found->second.bytes};
  }
  const model::TensorNames& names = expanded.family->names;
  // A tied head's stored copy equals the embedding, and the model may have dropped it.
  const bool is_copy = expanded.manifest->base_tied_embeddings && spec.name == names.head;
  const model::TensorView& view = expanded.tensors.get(is_copy ? names.embedding : spec.name);
  const bool begins = view.dtype == spec.dtype && view.shape.size() == spec.shape.size() &&
                      view.bytes.size() >= spec.num_bytes() &&
                      (view.shape.empty() || std::equal(view.shape.begin() + 1, view.shape.end(),
                                                        spec.shape.begin() + 1));
  const bool is_vocabulary = view.name == names.embedding || view.name == names.head;
  if (begins && is_vocabulary && spec.shape.at(0) == expanded.num_base_vocab_rows()) {
    return model::base_row_bytes(expanded, view.name, 0, spec.shape[0]);
  }
  if (begins) return {view.bytes.substr(0, spec.num_bytes())};
  throw FormatError(view.file, concat("tensor '", spec.name, "' does not hold the base's"))
      .expected(model::shape_text(spec.shape) + " or more rows")
      .found(model::shape_text(view.shape))
      .hint("the model was changed after its expansion");
}

namespace {

/// Whether hash_tensors() of the base knows a stored tensor.
bool is_used(const ModelFolder& expanded, const BaseSnapshot& snapshot, const std::string& name) {
  const bool is_copy =
      expanded.manifest->base_tied_embeddings && name == expanded.family->names.head;
  return !is_copy && snapshot.dropped.count(name) == 0;
}

void restore_files(const BaseSnapshot& snapshot, const fs::path& out) {
  for (const auto& [name, hash] : snapshot.file_hashes) {
    copy_bytes(snapshot.files / name, out / name);
    const std::string found = sha256_file(out / name);
    if (found == hash) continue;
    throw FormatError(snapshot.files / name, "the file is not the base's any more")
        .expected("SHA-256 " + hash)
        .found(found);
  }
}

/// @return hash_tensors() of what is written.
std::string restore_shards(const ModelFolder& expanded, const BaseSnapshot& snapshot,
                           const fs::path& out) {
  model::BackgroundTensorsHash hash;
  uint64_t total_bytes = 0;
  for (const auto& shard : snapshot.shards) {
    if (!shard.header.entries.empty()) total_bytes += shard.header.entries.back().end;
  }
  Progress progress("writing the base", total_bytes, "bytes");
  for (const auto& shard : snapshot.shards) {
    AtomicFile file(out / shard.name);
    file.write(shard.header_bytes);
    BackgroundWork writing(uint64_t{64} << 20);
    for (const model::HeaderEntry& entry : shard.header.entries) {
      throw_if_stopped();
      const auto pieces = base_bytes(expanded, snapshot, entry.spec);
      if (is_used(expanded, snapshot, entry.spec.name)) hash.add(entry.spec, pieces);
      for (const std::string_view bytes : pieces) {
        writing.add(bytes.size(), [&file, bytes] {
          file.write(bytes);
          release_pages(bytes);
        });
      }
      progress.advance(entry.end - entry.begin);
    }
    writing.finish();
    file.commit();
  }
  progress.finish();
  return hash.finish();
}

}  // namespace

void restore_base(const ModelFolder& expanded, const fs::path& out) {
  const BaseSnapshot snapshot = BaseSnapshot::open(expanded.path);
  create_folders(out);
  restore_files(snapshot, out);
  const std::string found = restore_shards(expanded, snapshot, out);
  if (found != expanded.manifest->base_tensors_hash) {
    throw FormatError(expanded.path, "the base rows of this model are not its base's")
        .expected("tensors with SHA-256 " + expanded.manifest->base_tensors_hash)
        .found(found)
        .hint("the model was trained or changed outside its additions; use the base itself");
  }
  if (snapshot.left_out.empty()) return;
  log_warn(concat("the expanded model does not carry these of the base's files: ",
                  join(snapshot.left_out, ", ")));
}

}  // namespace polygraft::expand
