// cli/pipeline/training_folder.cpp: see training_folder.h.
#include "cli/pipeline/training_folder.h"

#include <algorithm>

#include "cli/keep_inputs.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/settings.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

constexpr const char* kKeyFile = "stage-key";
constexpr const char* kSettingsFile = "settings.yaml";
constexpr const char* kInputsFile = "inputs.json";

fs::path kept_folder(const fs::path& run_dir) { return run_dir / "training.before"; }
fs::path swap_folder(const fs::path& run_dir) { return run_dir / "training.swap"; }

bool has_key(const fs::path& training, const std::string& key) {
  return fs::exists(training / kKeyFile) && read_file(training / kKeyFile) == key;
}

/// Of its newest checkpoint; 0: there is none.
int64_t trained_tokens(const fs::path& training) {
  int64_t tokens = 0;
  if (!fs::exists(training)) return tokens;
  for (const auto& entry : fs::directory_iterator(training)) {
    const fs::path file = entry.path() / "state.json";
    const bool is_checkpoint = entry.path().filename().string().starts_with("checkpoint-");
    if (!is_checkpoint || !fs::exists(file)) continue;
    tokens = std::max(tokens, json_get<int64_t>(read_json(file), "tokens", file));
  }
  return tokens;
}

/// Only what training depends on.
std::vector<Setting> training_settings(const PipelineConfig& config) {
  std::vector<Setting> settings = settings_of(config);
  std::erase_if(settings, [](const Setting& setting) {
    const std::string block = setting.key.substr(0, setting.key.find('.'));
    return block == "run_dir" || block == "machine" || block == "evaluate" || block == "gate" ||
           setting.key.starts_with("train.checkpoint.");
  });
  return settings;
}

/// What a training began from, by its path: {"data/id.train.jsonl": SHA-256}. What is not there is
/// left out: a stage may have to write it first.
Json hash_inputs(const PipelineConfig& config) {
  FileHashes hashes(config.run_dir);
  std::vector<fs::path> inputs = files_of({config.languages});
  inputs.emplace_back(config.base);
  Json json = Json::object();
  for (const fs::path& input : inputs)
    if (fs::exists(input)) json[valid_utf8(input.string())] = hashes.of(input);
  return json;
}

/// "the content of data/id.train.jsonl"
void append_changed_inputs(const fs::path& training, FileHashes& hashes,
                           std::vector<std::string>& changes) {
  if (!fs::exists(training / kInputsFile)) return;
  const Json inputs = read_json(training / kInputsFile);
  for (const auto& [input, hash] : inputs.items()) {
    if (fs::exists(input) && hash != Json(hashes.of(input)))
      changes.push_back(concat("the content of ", input));
  }
}

/// "train.tokens: 600000 -> 300000, the content of data/id.train.jsonl"
std::string changes_since(const fs::path& training, const PipelineConfig& config,
                          FileHashes& hashes) {
  const fs::path file = training / kSettingsFile;
  std::vector<std::string> changes;
  if (fs::exists(file)) {
    try {
      changes = changed_settings(
          training_settings(bind_config<PipelineConfig>(ConfigSource::from_file(file))),
          training_settings(config));
    } catch (const ConfigError&) {  // of a version with other keys
    }
  }
  append_changed_inputs(training, hashes, changes);
  return changes.empty() ? "base, texts, settings or polygraft's version" : join(changes, ", ");
}

/// What a process killed within exchange_kept() left.
void finish_exchange(const fs::path& run_dir) {
  const fs::path swap = swap_folder(run_dir), kept = kept_folder(run_dir);
  if (fs::exists(swap)) fs::rename(swap, fs::exists(kept) ? training_folder(run_dir) : kept);
}

void exchange_kept(const fs::path& run_dir) {
  const fs::path training = training_folder(run_dir), kept = kept_folder(run_dir);
  fs::rename(kept, swap_folder(run_dir));
  fs::rename(training, kept);
  fs::rename(swap_folder(run_dir), training);
}

void start_afresh(const fs::path& run_dir) {
  const fs::path training = training_folder(run_dir), kept = kept_folder(run_dir);
  if (trained_tokens(training) > 0) {
    fs::remove_all(kept);
    fs::rename(training, kept);
  }
  fs::remove_all(training);
  create_folders(training);
}

}  // namespace

fs::path training_folder(const fs::path& run_dir) { return run_dir / "training"; }

std::string training_change(const PipelineConfig& config, const std::string& key,
                            FileHashes& hashes) {
  const fs::path training = training_folder(config.run_dir), kept = kept_folder(config.run_dir);
  const int64_t tokens = trained_tokens(training);
  if (tokens == 0 || has_key(training, key)) return "";
  const auto count = [](int64_t n) { return human_count(static_cast<uint64_t>(n)) + " tokens"; };
  const std::string changed = concat(" (changed: ", changes_since(training, config, hashes), ")");
  const std::string trained = concat("the ", count(tokens), " trained in ", training.string());
  if (has_key(kept, key)) {
    return concat("stage 'train' goes on from the ", count(trained_tokens(kept)), " kept in ",
                  kept.string(), changed, "; ", trained, " are kept there instead");
  }
  const std::string text =
      concat("stage 'train' begins afresh", changed, ": ", trained, " are kept in ", kept.string());
  if (!fs::exists(kept)) return text;
  return concat(text, ", and the ", count(trained_tokens(kept)),
                " there are deleted; another run_dir keeps both");
}

void begin_training(const ResolvedPipeline& pipeline, const std::string& key) {
  const fs::path run_dir = pipeline.config.run_dir, training = training_folder(run_dir);
  finish_exchange(run_dir);
  if (!has_key(training, key)) {
    if (has_key(kept_folder(run_dir), key)) {
      create_folders(training);
      exchange_kept(run_dir);
    } else {
      start_afresh(run_dir);
      write_file_atomically(training / kSettingsFile, pipeline.yaml);
      write_json(training / kInputsFile, hash_inputs(pipeline.config));
      write_file_atomically(training / kKeyFile, key);
    }
  }
  const fs::path link = run_dir / "metrics.jsonl";
  fs::remove(link);
  fs::create_symlink("training/metrics.jsonl", link);
}

}  // namespace polygraft::cli
