// expand/packs/stored_pack.cpp: see stored_pack.h. Legend: D model width, F expert width, n experts
// of the pack, v its vocabulary rows.
#include "expand/packs/stored_pack.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/additions.h"
#include "model/checkpoint/safetensors_header.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;
using model::PackEntry;
using model::TensorView;

const PackEntry& find_entry(const ModelFolder& expanded, const std::string& name) {
  std::vector<std::string> names;
  if (expanded.manifest) {
    for (const PackEntry& entry : expanded.manifest->packs) {
      if (entry.name == name) return entry;
      names.push_back(entry.name);
    }
  }
  throw ConfigError(expanded.path.string(), concat("the model has no pack '", name, "'"))
      .expected(names.empty() ? "a model with packs" : "one of: " + join(names, ", "));
}

/// Rows of tokens that a pack before this one brings too; the model stores that pack's.
struct ShadowedRows {
  std::vector<int64_t> index;  ///< into the pack's tokens, ascending
  const std::map<std::string, TensorView>& tensors;

  std::string_view row(const std::string& name, size_t at) const {
    // Without output rows of its own a tied pack's input row is both.
    const auto found =
        tensors.count(name) != 0 ? tensors.find(name) : tensors.find(kAddedEmbedding);
    return rows_of(found->second, static_cast<int64_t>(at), 1);
  }
};

std::vector<int64_t> read_index(const std::map<std::string, TensorView>& tensors,
                                int64_t num_tokens, int64_t num_stored, const fs::path& file) {
  std::vector<int64_t> index;
  if (const auto found = tensors.find(kShadowedIndex); found != tensors.end()) {
    const TensorView& view = found->second;
    if (view.dtype == model::Dtype::kI64) {
      index.resize(static_cast<size_t>(view.num_elements()));
      std::memcpy(index.data(), view.bytes.data(), view.bytes.size());
    }
  }
  bool good = static_cast<int64_t>(index.size()) + num_stored == num_tokens;
  for (size_t i = 0; i < index.size(); ++i) {
    good = good && index[i] > (i == 0 ? -1 : index[i - 1]) && index[i] < num_tokens;
  }
  if (good) return index;
  throw FormatError(file, "the rows kept of a pack do not complete those that the model stores")
      .expected(concat(num_tokens - num_stored, " rows, each of another token"))
      .found(concat(index.size()));
}

/// One row for each of `num_rows` tokens under every name that may be asked for: input rows, and
/// output rows where the pack brings its own. As wide and in the dtype that the model stores.
void check_rows(const std::map<std::string, TensorView>& tensors, int64_t num_rows,
                const ModelFolder& folder, const fs::path& file) {
  const std::vector<int64_t> shape = {num_rows, folder.config.hidden_size};
  const auto check = [&](const char* name, const std::string& stored, bool is_required) {
    const model::Dtype dtype = folder.tensors.get(stored).dtype;
    const auto found = tensors.find(name);
    if (found == tensors.end() && !is_required) return;
    const bool is_there = found != tensors.end();
    if (is_there && found->second.shape == shape && found->second.dtype == dtype) return;
    throw FormatError(file, concat("'", name, "' is not the rows that are kept of a pack"))
        .expected(concat(model::dtype_name(dtype), " ", model::shape_text(shape)))
        .found(is_there ? concat(model::dtype_name(found->second.dtype), " ",
                                 model::shape_text(found->second.shape))
                        : "no such tensor")
        .hint("attach the packs to the base again");
  };
  const model::TensorNames& names = folder.family->names;
  check(kAddedEmbedding, names.embedding, num_rows > 0);
  if (folder.tensors.contains(names.head)) check(kAddedHead, names.head, false);
}

class PackFinder {
 public:
  PackFinder(const ModelFolder& folder, const PackEntry& entry, StoredPack& result)
      : folder_(folder), entry_(entry), result_(result) {}

  void find_vocabulary(const ShadowedRows& shadowed) {
    const model::TensorNames& names = folder_.family->names;
    if (result_.pack.tokens.empty()) return;
    add_vocabulary(kAddedEmbedding, names.embedding, shadowed);
    if (result_.pack.has_head()) add_vocabulary(kAddedHead, names.head, shadowed);
  }

  void find_experts() {
    if (entry_.num_experts == 0) return;
    for (const PackLayer& layer : result_.pack.layers) add_experts(layer.layer);
  }

 private:
  void add(const std::string& name, const std::string& stored, std::vector<int64_t> shape,
           std::vector<std::string_view> pieces) {
    const model::Dtype dtype = folder_.tensors.get(stored).dtype;
    result_.tensors.push_back({{name, dtype, std::move(shape)}, std::move(pieces)});
  }

  /// Stored rows and shadowed ones, in the order of the pack's tokens.
  void add_vocabulary(const std::string& name, const std::string& stored,
                      const ShadowedRows& shadowed) {
    const TensorView& view = folder_.tensors.get(stored);
    const int64_t num_rows = result_.pack.num_vocab_rows();
    std::vector<std::string_view> pieces;
    int64_t token = 0, next = entry_.first_vocab_row;
    for (size_t i = 0; i <= shadowed.index.size(); ++i) {
      const int64_t end = i < shadowed.index.size() ? shadowed.index[i] : num_rows;
      pieces.push_back(rows_of(view, next, end - token));
      if (i < shadowed.index.size()) pieces.push_back(shadowed.row(name, i));
      next += end - token;
      token = end + 1;
    }
    add(name, stored, {num_rows, folder_.config.hidden_size}, std::move(pieces));
  }

  void add_experts(int64_t layer) {
    const model::TensorNames& names = folder_.family->names;
    const model::ExpertLayout layout = folder_.layout.of(layer);
    const int64_t num = entry_.num_experts;
    const int64_t width = folder_.config.hidden_size, expert_width = folder_.config.expert_width;
    const auto add_rows = [&](const std::string& name, const std::string& name_template,
                              std::vector<int64_t> shape) {
      const std::string stored = model::fill(name_template, layer);
      add(name, stored, std::move(shape),
          {rows_of(folder_.tensors.get(stored), entry_.first_expert, num)});
    };
    add_rows(added_router(layer), names.router_of(layout), {num, width});
    if (layout == model::ExpertLayout::kFused) {
      add_rows(added_gate_up(layer), names.fused_gate_up, {num, 2 * expert_width, width});
      add_rows(added_down(layer), names.fused_down, {num, width, expert_width});
      return;
    }
    add_stacked(added_gate_up(layer), layer, {names.expert_gate, names.expert_up},
                {num, 2 * expert_width, width});
    add_stacked(added_down(layer), layer, {names.expert_down}, {num, width, expert_width});
  }

  /// The experts' own tensors, one behind the other.
  void add_stacked(const std::string& name, int64_t layer,
                   const std::vector<std::string>& templates, std::vector<int64_t> shape) {
    const std::string first = model::fill(templates.front(), layer, entry_.first_expert);
    const model::Dtype dtype = folder_.tensors.get(first).dtype;
    std::vector<std::string_view> pieces;
    for (int64_t j = 0; j < entry_.num_experts; ++j) {
      for (const std::string& name_template : templates) {
        const std::string stored = model::fill(name_template, layer, entry_.first_expert + j);
        const TensorView& view = folder_.tensors.get(stored);
        if (view.dtype != dtype) refuse_dtypes(view, first, dtype);
        pieces.push_back(view.bytes);
      }
    }
    add(name, first, std::move(shape), std::move(pieces));
  }

  [[noreturn]] static void refuse_dtypes(const TensorView& view, const std::string& first,
                                         model::Dtype dtype) {
    throw NotBuiltError("a pack of experts whose gate and up projections differ in dtype")
        .found(concat(view.name, " ", model::dtype_name(view.dtype), ", ", first, " ",
                      model::dtype_name(dtype)));
  }

  const ModelFolder& folder_;
  const PackEntry& entry_;
  StoredPack& result_;
};

}  // namespace

std::string_view rows_of(const TensorView& view, int64_t first, int64_t count) {
  const auto row_bytes = static_cast<size_t>(view.row_bytes());
  return view.bytes.substr(static_cast<size_t>(first) * row_bytes,
                           static_cast<size_t>(count) * row_bytes);
}

StoredPack find_pack(const ModelFolder& expanded, const std::string& name) {
  const PackEntry& entry = find_entry(expanded, name);
  StoredPack result{describe_pack(expanded, entry), {}, {}};
  const fs::path file = expanded.path / kPacksFolder / name / kShadowedFile;
  if (fs::exists(file)) result.shadowed = model::read_tensor_file(file);
  ShadowedRows shadowed{
      read_index(result.shadowed, result.pack.num_vocab_rows(), entry.num_vocab_rows, file),
      result.shadowed};
  check_rows(result.shadowed, static_cast<int64_t>(shadowed.index.size()), expanded, file);
  PackFinder finder(expanded, entry, result);
  finder.find_vocabulary(shadowed);
  finder.find_experts();
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const auto& a, const auto& b) { return a.spec.name < b.spec.name; });
  return result;
}

Pack write_pack(const StoredPack& stored, const fs::path& out) {
  create_folders(out);
  const fs::path file = out / kPackTensors;
  std::vector<model::TensorSpec> specs;
  uint64_t total_bytes = 0;
  for (const StoredTensor& tensor : stored.tensors) {
    specs.push_back(tensor.spec);
    total_bytes += tensor.spec.num_bytes();
  }
  AtomicFile tensors(file);
  tensors.write(model::encode_header(specs, {}, file));
  model::BackgroundTensorsHash hash;
  Progress progress("writing the pack", total_bytes, "bytes");
  for (const StoredTensor& tensor : stored.tensors) {
    throw_if_stopped();
    hash.add(tensor.spec, tensor.pieces);
    for (const std::string_view piece : tensor.pieces) tensors.write(piece);
    progress.advance(tensor.spec.num_bytes());
  }
  tensors.commit();
  progress.finish();
  Pack pack = stored.pack;
  pack.additions_hash = hash.finish();
  write_json(out / kPackFile, pack.to_json());
  return pack;
}

}  // namespace polygraft::expand
