// expand/packs/attach.cpp: see attach.h.
#include "expand/packs/attach.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/packs/base_check.h"
#include "expand/packs/base_view.h"
#include "expand/packs/composition.h"
#include "expand/packs/stored_pack.h"
#include "model/architecture/tensor_bytes.h"
#include "model/checkpoint/tensors_hash.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;

/// A folder for what is needed while the result is written; gone afterwards.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& out) : path_(out / "polygraft.work") {
    create_folders(path_);
  }
  ~WorkFolder() { remove(); }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }
  void remove() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

 private:
  fs::path path_;
};

/// The packs that a model has, as folders below `work`; all but `except`.
std::vector<OpenPack> packs_of(const ModelFolder& expanded, const std::string& except,
                               const fs::path& work) {
  std::vector<OpenPack> packs;
  for (const model::PackEntry& entry : expanded.manifest->packs) {
    if (entry.name == except) continue;
    write_pack(find_pack(expanded, entry.name), work / entry.name);
    packs.push_back(open_pack(work / entry.name));
  }
  return packs;
}

/// Rows that the model does not store, because a pack before this one brings the same tokens.
void write_shadowed_rows(const OpenPack& open, const std::vector<int64_t>& shadowed,
                         const fs::path& file) {
  if (shadowed.empty()) return;
  const auto num_rows = static_cast<int64_t>(shadowed.size());
  std::map<std::string, model::OwnedTensor> tensors;
  model::OwnedTensor& index = tensors[kShadowedIndex];
  index.spec = {kShadowedIndex, model::Dtype::kI64, {num_rows}};
  index.bytes.assign(reinterpret_cast<const char*>(shadowed.data()),
                     shadowed.size() * sizeof(int64_t));
  for (const char* name : {kAddedEmbedding, kAddedHead}) {
    const auto found = open.additions.find(name);
    if (found == open.additions.end()) continue;
    const at::Tensor rows = found->second.index_select(0, at::tensor(shadowed, at::kLong));
    model::OwnedTensor& tensor = tensors[name];
    tensor.spec = {name, model::from_scalar_type(rows.scalar_type()), rows.sizes().vec()};
    tensor.bytes = model::stored_bytes(rows);
  }
  model::write_tensor_file(file, tensors);
}

/// What the model itself does not tell of its packs. A single pack needs nothing.
void write_pack_parts(const Composition& composition, const fs::path& out) {
  if (composition.packs.size() < 2) return;
  for (size_t i = 0; i < composition.packs.size(); ++i) {
    const OpenPack& open = composition.packs[i];
    const fs::path folder = out / kPacksFolder / open.pack.name;
    create_folders(folder);
    write_json(folder / kPackFile, open.pack.to_json());
    write_shadowed_rows(open, composition.vocabulary.shadowed[i], folder / kShadowedFile);
  }
}

/// @param view of the base. @param snapshot_of the expanded model that it is a view of, or empty.
/// @return hash_tensors() of the base.
std::string write_composition(const ModelFolder& view, const Composition& composition,
                              const fs::path& snapshot_of, const fs::path& work,
                              const fs::path& out) {
  ExpandedFolder expanded;
  expanded.manifest = composition.manifest;
  expanded.untie_head = composition.untie_head;
  expanded.base_snapshot_of = snapshot_of;
  if (!composition.vocabulary.additions.tokens.empty()) {
    expanded.tokenizer = work / "tokenizer";
    pack_tokenizer(view.path, composition.vocabulary.additions).write(expanded.tokenizer);
  }
  std::string hash = write_expanded(view, composition.additions, expanded, out);
  write_pack_parts(composition, out);
  return hash;
}

/// Before the model's own packs are written out to be put together again: a message is of the
/// folder that the user named.
void refuse_attached(const ModelFolder& model, const OpenPack& open) {
  if (!model.manifest) return;
  const auto& packs = model.manifest->packs;
  const bool is_there = std::any_of(packs.begin(), packs.end(), [&](const model::PackEntry& entry) {
    return entry.name == open.pack.name;
  });
  if (!is_there) return;
  throw NotComparable(open.folder.string(),
                      concat("the model has a pack '", open.pack.name, "' already"))
      .found(model.path.string())
      .hint("a model has one pack of each name; detach the old one first");
}

}  // namespace

void attach_packs(const ModelFolder& model, const std::vector<fs::path>& folders,
                  const AttachOptions& options, const fs::path& out) {
  WorkFolder work(out);
  const bool is_base = !model.manifest.has_value();
  const ModelFolder view = is_base ? model : base_view(model);
  const auto tokenizer = tokenizer::Tokenizer::load(view.path);
  const bool hash_later = is_base && !options.allow_base_mismatch;
  const std::string hash = !is_base     ? model.manifest->base_tensors_hash
                           : hash_later ? ""
                                        : hash_tensors(model.tensors);
  std::vector<OpenPack> packs;
  for (const fs::path& folder : folders) {
    packs.push_back(open_pack(folder));
    refuse_attached(model, packs.back());
    const bool first = hash.empty() && packs.size() == 1;
    check_base(
        packs.back(), view,
        {first || !hash.empty() ? hash : packs.front().pack.base.tensors_hash, tokenizer.hash()},
        options);
  }
  OpenPack first = packs.front();
  if (!is_base) {
    for (OpenPack& open : packs_of(model, "", work.path())) packs.push_back(std::move(open));
  }
  const Composition composition = compose(view, std::move(packs), tokenizer.size());
  const std::string found =
      write_composition(view, composition, is_base ? fs::path() : model.path, work.path(), out);
  if (hash_later) check_base(first, view, {found, tokenizer.hash()}, options);
  work.remove();
}

void detach_pack(const ModelFolder& expanded, const std::string& name, const fs::path& out) {
  find_pack(expanded, name);  // or says which there are
  if (expanded.manifest->packs.size() == 1) {
    restore_base(expanded, out);
    return;
  }
  WorkFolder work(out);
  const ModelFolder view = base_view(expanded);
  const auto tokenizer = tokenizer::Tokenizer::load(view.path);
  const Composition composition =
      compose(view, packs_of(expanded, name, work.path()), tokenizer.size());
  write_composition(view, composition, expanded.path, work.path(), out);
  work.remove();
}

}  // namespace polygraft::expand
