// model/checkpoint/model_folder.cpp: opening a model folder: every check before the first use.
#include "model/checkpoint/model_folder.h"

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/layout_check.h"

namespace polygraft::model {
namespace {

constexpr const char* kConfigFile = "config.json";

[[noreturn]] void manifest_contradiction(const fs::path& file, const std::string& what,
                                         int64_t in_manifest, int64_t in_config) {
  throw FormatError(file, concat("the manifest contradicts config.json on ", what))
      .expected(concat(in_config, ", as in config.json"))
      .found(concat(in_manifest, " (base, packs and padding together)"))
      .hint("polygraft.json belongs to another model, or one of the two files was edited");
}

void check_manifest(const Manifest& manifest, const ModelConfig& config, const fs::path& file) {
  const int64_t num_experts = manifest.base_num_experts + manifest.num_added_experts();
  const int64_t num_rows = manifest.vocab_layout().num_rows();
  if (num_experts != config.num_experts) {
    manifest_contradiction(file, "the number of experts", num_experts, config.num_experts);
  }
  if (num_rows != config.vocab_rows) {
    manifest_contradiction(file, "the number of vocabulary rows", num_rows, config.vocab_rows);
  }
  if (config.tied_embeddings && !manifest.base_tied_embeddings) {
    throw FormatError(file, "the manifest contradicts config.json on tied embeddings")
        .expected("a base with tied embeddings, since the expanded model is tied")
        .found("\"base_tied_embeddings\": false");
  }
}

/// The weights decide; config.json may be silent or stale, and transformers loads such a folder
/// too.
void take_stored_dtype(ModelFolder& folder) {
  const Dtype stored = stored_dtype(folder.tensors);
  const bool stated =
      folder.config_json->contains("dtype") || folder.config_json->contains("torch_dtype");
  if (stated && stored != folder.config.dtype) {
    log_warn(concat((folder.path / kConfigFile).string(), " says ",
                    torch_dtype_name(folder.config.dtype), ", but the weights are ",
                    torch_dtype_name(stored), "; taking the weights' word"));
  }
  folder.config.dtype = stored;
}

/// Says what `path` is instead of a model, where its files tell.
void refuse_other_things(const fs::path& path) {
  const char* hint = "a model is a folder with config.json and *.safetensors";
  if (!fs::exists(path)) throw IoError(path, "no such folder").hint(hint);
  if (!fs::is_directory(path)) throw IoError(path, "is a file, no folder").hint(hint);
  if (fs::exists(path / kConfigFile)) return;
  if (fs::exists(path / "pipeline.resolved.yaml")) {
    throw IoError(path, "is a run folder of `polygraft run`, no model")
        .hint(concat("its model is ", (path / "model").string()));
  }
  if (fs::exists(path / "pack.json")) {
    throw IoError(path, "is a language pack, no model")
        .hint(concat("name its base, and the pack with --pack ", path.string()));
  }
  throw IoError(path, concat("has no ", kConfigFile)).hint(hint);
}

}  // namespace

ModelFolder ModelFolder::open(const fs::path& path) {
  refuse_other_things(path);
  ModelFolder folder;
  folder.path = path;
  folder.config_json = read_ordered_json(path / kConfigFile);
  folder.config = parse_model_config(Json(*folder.config_json), path / kConfigFile);
  folder.family = &find_family(folder.config.family);
  folder.tensors = TensorFolder::open(path);
  folder.layout = detect_expert_layout(folder.config, folder.tensors);
  check_tensors(folder.config, folder.layout, folder.tensors);
  take_stored_dtype(folder);
  const fs::path manifest_file = path / kManifestFile;
  if (fs::exists(fs::symlink_status(manifest_file))) {
    folder.manifest = Manifest::from_json(read_ordered_json(manifest_file), manifest_file);
    check_manifest(*folder.manifest, folder.config, manifest_file);
    folder.displaced_rows = open_displaced_rows(folder);
  }
  return folder;
}

int64_t ModelFolder::num_base_experts() const {
  return manifest ? manifest->base_num_experts : config.num_experts;
}

bool ModelFolder::base_is_tied() const {
  return manifest ? manifest->base_tied_embeddings : config.tied_embeddings;
}

RowLayout ModelFolder::vocab_layout() const {
  return manifest ? manifest->vocab_layout() : RowLayout{config.vocab_rows, 0, {}};
}

}  // namespace polygraft::model
