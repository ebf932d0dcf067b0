// trainer/output.cpp: see output.h.
#include "trainer/output.h"

#include "core/config.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/graft.h"
#include "expand/packs/pack_on_base.h"
#include "expand/tokenizer_files.h"
#include "model/checkpoint/side_files.h"

namespace polygraft::trainer {
namespace {

/// The manifest's, with what this run adds to it.
OrderedJson provenance_of(const TrainJob& job, const Trainee& trainee, const TrainResult& result) {
  OrderedJson provenance = *trainee.folder->manifest->provenance;
  OrderedJson& training = provenance["training"];
  training["config"] = config_to_yaml(job.train);
  training["seed"] = job.seed;
  training["step"] = result.best_step;
  if (result.blend) training["blend"] = to_json(*result.blend);
  return provenance;
}

void write_additions(const TrainJob& job, const Trainee& trainee, const TrainResult& result,
                     const fs::path& out) {
  const expand::Additions additions = expand::get_additions(trainee.transformer.weights());
  OrderedJson provenance = provenance_of(job, trainee, result);
  if (!job.pack.empty()) {
    expand::write_trained_pack(job.pack, additions, provenance, out);
    return;
  }
  expand::ExpandedFolder expanded;
  expanded.manifest = *trainee.folder->manifest;
  expanded.manifest.provenance = std::move(provenance);
  expanded.tokenizer = job.model;
  expand::write_expanded(*trainee.folder, additions, expanded, out);
}

void write_whole(const TrainJob& job, const Trainee& trainee, const fs::path& out) {
  const bool moe = trainee.transformer.config().is_moe();
  const model::FolderLayout new_layout =
      moe ? model::ExpertLayout::kPerExpert : model::ExpertLayout::kNone;
  const model::FolderLayout layout = trainee.folder ? trainee.folder->layout : new_layout;
  model::write_weights(trainee.transformer.weights(), trainee.transformer.config(), layout, out);
  write_json(out / "config.json", *trainee.config_json);
  if (trainee.folder) {
    model::copy_side_files(job.model, out, /*without_tokenizer=*/!job.tokenizer.empty());
  }
  if (!job.tokenizer.empty()) {
    expand::copy_tokenizer_files(
        fs::is_directory(job.tokenizer) ? job.tokenizer : job.tokenizer.parent_path(), out);
  }
  if (trainee.folder) return;
  OrderedJson generation;
  generation["_from_model_config"] = true;
  if (const auto id = trainee.tokenizer.bos_id()) generation["bos_token_id"] = *id;
  if (const auto id = trainee.tokenizer.eos_id()) generation["eos_token_id"] = *id;
  write_json(out / "generation_config.json", generation);
}

}  // namespace

void write_trained(const TrainJob& job, const Trainee& trainee, const TrainResult& result) {
  AtomicFolder out(job.output, job.replace_output);
  const bool base_is_frozen =
      !job.train.changes_base() && trainee.folder && trainee.folder->manifest;
  if (base_is_frozen) {
    write_additions(job, trainee, result, out.path());
  } else {
    write_whole(job, trainee, out.path());
  }
  out.commit();
}

}  // namespace polygraft::trainer
