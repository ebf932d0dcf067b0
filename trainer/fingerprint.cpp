// trainer/fingerprint.cpp: see fingerprint.h.
#include "trainer/fingerprint.h"

#include "core/hash.h"
#include "core/json.h"
#include "core/settings.h"
#include "core/text.h"
#include "model/architecture/tensor_bytes.h"
#include "model/checkpoint/tensors_hash.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

std::string weights_hash(model::Weights& weights, bool additions_only) {
  Sha256 hash;
  const auto add = [&](const std::string& name, at::Tensor& tensor) {
    const at::Tensor bytes = tensor.detach().cpu().contiguous();
    hash.update(concat(name, bytes.sizes()));
    hash.update(model::stored_bytes(bytes));
  };
  additions_only ? weights.for_each_added(add) : weights.for_each(add);
  return hash.finish();
}

/// Key by key, so that a refusal says what changed. All of them: the output's config.json has them.
void list_model_config(const OrderedJson& config_json, Fingerprint& fields) {
  for (const auto& [key, value] : config_json.items()) {
    fields[concat("config.json's ", key)] = value.dump();
  }
}

bool may_change(const std::string& key) { return key.rfind("train.checkpoint.", 0) == 0; }

}  // namespace

Fingerprint fingerprint(const TrainJob& job, const LanguageRoles& roles, const TrainingData& data,
                        Trainee& trainee) {
  Fingerprint fields;
  for (const Setting& setting : settings_of(job.train))
    fields["train." + setting.key] = setting.value;
  fields["seed"] = concat(job.seed);
  fields["languages"] = join(roles.learned, ", ");
  fields["old languages"] = join(roles.guarded, ", ");
  for (const auto& [language, key] : data.shard_keys) fields[concat("text of ", language)] = key;
  list_model_config(*trainee.config_json, fields);
  const auto manifest = trainee.folder ? trainee.folder->manifest : std::nullopt;
  const bool lies_in_files = !manifest && trainee.folder && !job.train.changes_base();
  if (manifest) fields["base weights"] = manifest->base_tensors_hash;
  if (lies_in_files) {
    fields["base weights"] = model::hash_tensors(trainee.folder->tensors);
  } else {
    fields[manifest ? "additions at the start" : "weights at the start"] =
        weights_hash(trainee.transformer.weights(), manifest.has_value());
  }
  return fields;
}

void require_same(const Fingerprint& recorded, const Fingerprint& now, const fs::path& checkpoint) {
  std::vector<std::string> differences;
  const auto value_in = [](const Fingerprint& fields, const std::string& key) {
    const auto found = fields.find(key);
    return found == fields.end() ? std::string("unset") : found->second;
  };
  Fingerprint all = recorded;
  all.insert(now.begin(), now.end());
  for (const auto& [key, value] : all) {
    const std::string before = value_in(recorded, key), after = value_in(now, key);
    if (before != after && !may_change(key)) {
      differences.push_back(concat(key, " (was ", before, ", is ", after, ")"));
    }
  }
  if (differences.empty()) return;
  throw ConfigError(checkpoint.string(), "the checkpoint was made under other settings")
      .found(join(differences, "; "))
      .hint("restore these values, or start anew in another run_dir");
}

}  // namespace polygraft::trainer
