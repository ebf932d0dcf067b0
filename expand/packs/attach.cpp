// expand/packs/attach.cpp: see attach.h.
#include "expand/packs/attach.h"

#include <algorithm>
#include <future>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/packs/base_view.h"
#include "expand/packs/composition.h"
#include "expand/packs/stored_pack.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::expand {

namespace fs = std::filesystem;

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
    write_pack(expanded, entry.name, work / entry.name);
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
    tensor.bytes.assign(static_cast<const char*>(rows.const_data_ptr()), rows.nbytes());
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
void write_composition(const ModelFolder& view, const Composition& composition,
                       const fs::path& snapshot_of, const fs::path& work, const fs::path& out) {
  ExpandedFolder expanded;
  expanded.manifest = composition.manifest;
  expanded.untie_head = composition.untie_head;
  expanded.base_snapshot_of = snapshot_of;
  if (!composition.vocabulary.additions.tokens.empty()) {
    expanded.tokenizer = work / "tokenizer";
    write_pack_tokenizer(view.path, composition.vocabulary.additions, expanded.tokenizer);
  }
  write_expanded(view, composition.additions, expanded, out);
  write_pack_parts(composition, out);
}

struct BaseFacts {
  std::string what, expected, found;
};

/// The first of what a pack says of its base, apart from its weights, that is not so.
std::optional<BaseFacts> find_contradiction(const Pack& pack, const ModelFolder& base,
                                            const std::string& tokenizer_hash) {
  const auto differ = [](const std::string& what, int64_t expected, int64_t found) {
    return BaseFacts{what, concat(expected), concat(found)};
  };
  const PackBase& wanted = pack.base;
  if (!pack.tokens.empty() && wanted.tokenizer_hash != tokenizer_hash) {
    return BaseFacts{"tokenizer.json", "SHA-256 " + wanted.tokenizer_hash, tokenizer_hash};
  }
  if (wanted.num_experts != base.num_base_experts()) {
    return differ("number of experts", wanted.num_experts, base.num_base_experts());
  }
  if (wanted.vocab_rows != base.num_base_vocab_rows()) {
    return differ("number of vocabulary rows", wanted.vocab_rows, base.num_base_vocab_rows());
  }
  if (wanted.tied_embeddings != base.config.tied_embeddings) {
    return BaseFacts{"output rows", wanted.tied_embeddings ? "tied" : "untied",
                     base.config.tied_embeddings ? "tied" : "untied"};
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const OpenPack& open, const BaseFacts& facts) {
  throw NotComparable(open.folder.string(),
                      concat("pack '", open.pack.name, "' belongs to another base: ", facts.what))
      .expected(facts.expected)
      .found(facts.found)
      .hint("attach it to its own base; --allow-base-mismatch goes on regardless");
}

void check_base(const OpenPack& open, const std::string& hash) {
  if (open.pack.base.tensors_hash == hash) return;
  refuse(open, {"weights", "tensors with SHA-256 " + open.pack.base.tensors_hash, hash});
}

/// Writes this base's identity over a pack's own, loudly.
void adopt(OpenPack& open, const PackBase& base) {
  if (open.pack.base.tied_embeddings != base.tied_embeddings) {
    throw NotComparable(open.folder.string(), "output rows tied in one base and not in the other")
        .hint("no additions fit both");
  }
  if (open.pack.base.tensors_hash == base.tensors_hash &&
      open.pack.base.tokenizer_hash == base.tokenizer_hash) {
    return;
  }
  log_warn(concat("pack '", open.pack.name, "' was made for the base ", open.pack.base.tensors_hash,
                  " and is attached to ", base.tensors_hash,
                  " (--allow-base-mismatch): nothing is known of what comes out"));
  open.pack.base = base;
}

}  // namespace

void attach_packs(const ModelFolder& model, const std::vector<fs::path>& folders,
                  const AttachOptions& options, const fs::path& out) {
  WorkFolder work(out);
  const bool is_base = !model.manifest.has_value();
  const ModelFolder view = is_base ? model : base_view(model);
  const auto tokenizer = tokenizer::Tokenizer::load(view.path);
  std::vector<OpenPack> packs;
  for (const fs::path& folder : folders) packs.push_back(open_pack(folder));
  if (options.allow_base_mismatch) {
    const PackBase base{is_base ? hash_tensors(model.tensors) : model.manifest->base_tensors_hash,
                        tokenizer.hash(), view.num_base_experts(), view.num_base_vocab_rows(),
                        view.config.tied_embeddings};
    for (OpenPack& open : packs) adopt(open, base);
  }
  for (const OpenPack& open : packs) {
    if (const auto facts = find_contradiction(open.pack, view, tokenizer.hash())) {
      refuse(open, *facts);
    }
    check_base(open,
               is_base ? packs.front().pack.base.tensors_hash : model.manifest->base_tensors_hash);
  }
  const OpenPack first = packs.front();
  if (!is_base) {
    for (OpenPack& open : packs_of(model, "", work.path())) packs.push_back(std::move(open));
  }
  const Composition composition = compose(view, std::move(packs), tokenizer.size());
  std::future<std::string> hash;  // beside the copying: the base is read anyway
  if (is_base && !options.allow_base_mismatch) {
    hash = std::async(std::launch::async, [&] { return hash_tensors(model.tensors); });
  }
  write_composition(view, composition, is_base ? fs::path() : model.path, work.path(), out);
  if (hash.valid()) check_base(first, hash.get());
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
