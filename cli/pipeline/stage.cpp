// cli/pipeline/stage.cpp: stamps and remembered file hashes.
#include "cli/pipeline/stage.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

constexpr const char* kContinue =
    "run the pipeline to its end: polygraft run PIPELINE.yaml skips what is done";

fs::path stage_folder(const std::string& name, const fs::path& run_dir) {
  return run_dir / "stages" / name;
}

fs::path stamp_file(const std::string& name, const fs::path& run_dir) {
  return stage_folder(name, run_dir) / "stamp.json";
}

/// An object that a run has written; empty where somebody has edited or damaged it: what it was
/// about is done again.
Json read_own(const fs::path& file) {
  try {
    Json json = read_json(file);
    return json.is_object() ? json : Json::object();
  } catch (const FormatError&) {
    return Json::object();
  }
}

/// JSON can hold no other path: files of other names are not remembered.
bool has_name_for_json(const fs::path& file) { return valid_utf8(file.string()) == file.string(); }

/// SHA-256 of the files below `folder`, by their paths relative to `from`.
Json hash_files(const fs::path& folder, const fs::path& from, FileHashes& hashes) {
  Json json = Json::object();
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || !has_name_for_json(entry.path())) continue;
    json[entry.path().lexically_relative(from).string()] = hashes.of(entry.path());
  }
  return json;
}

/// Of the files in folders that the stage left beside its own, by path below the run folder.
/// Outputs that are single files are not among them: `polygraft report` makes those again.
Json hash_outputs(const Stage& stage, const fs::path& run_dir, FileHashes& hashes) {
  Json json = Json::object();
  for (const fs::path& output : stage.outputs) {
    if (output == stage_folder(stage.name, run_dir) || !fs::is_directory(output)) continue;
    json.update(hash_files(output, run_dir, hashes));
  }
  return json;
}

/// The first of `files`, hashes by paths relative to `folder`, that is gone or another; or "".
std::string changed_file(const Json& files, const fs::path& folder, FileHashes& hashes) {
  for (const auto& [name, hash] : files.items()) {
    if (!fs::exists(folder / name) || hashes.of(folder / name) != hash) return name;
  }
  return "";
}

}  // namespace

bool stage_has_key(const std::string& name, const std::string& key, const fs::path& run_dir) {
  const fs::path stamp = stamp_file(name, run_dir);
  return fs::exists(stamp) && json_get_or<std::string>(read_own(stamp), "key", "", stamp) == key;
}

std::string changed_output(const Stage& stage, const fs::path& run_dir, FileHashes& hashes) {
  const fs::path stamp = stamp_file(stage.name, run_dir);
  const Json json = read_own(stamp);
  const fs::path folder = stage_folder(stage.name, run_dir);
  const std::string own =
      changed_file(json_get_or<Json>(json, "files", Json::object(), stamp), folder, hashes);
  if (!own.empty()) return fs::relative(folder / own, run_dir).string();
  return changed_file(json_get_or<Json>(json, "outputs", Json::object(), stamp), run_dir, hashes);
}

bool stage_is_done(const Stage& stage, const fs::path& run_dir, FileHashes& hashes) {
  if (!stage_has_key(stage.name, stage.key, run_dir)) return false;
  const bool all_exist = std::all_of(stage.outputs.begin(), stage.outputs.end(),
                                     [](const fs::path& p) { return fs::exists(p); });
  return all_exist && changed_output(stage, run_dir, hashes).empty();
}

void run_stage(const Stage& stage, const fs::path& run_dir, const parallel::Team& team,
               FileHashes& hashes) {
  if (team.is_first()) {
    AtomicFolder folder(stage_folder(stage.name, run_dir), /*replace=*/true);
    stage.run(folder.path());
    write_json(folder.path() / "stamp.json",
               Json{{"stage", stage.name},
                    {"key", stage.key},
                    {"files", hash_files(folder.path(), folder.path(), hashes)},
                    {"outputs", hash_outputs(stage, run_dir, hashes)}});
    folder.commit();
    hashes.move(folder.path(), stage_folder(stage.name, run_dir));
    hashes.save();
  } else if (stage.ranks == StageRanks::kAll) {
    stage.run({});
  }
  team.wait_for_all();
}

StageKeys::StageKeys(const std::vector<Stage>& stages, const std::string& resolved_yaml)
    : json_{{"config", sha256(resolved_yaml)}, {"keys", Json::object()}} {
  for (const Stage& stage : stages) json_["keys"][stage.name] = stage.key;
}

StageKeys StageKeys::read(const fs::path& run_dir, const std::string& resolved_yaml) {
  const fs::path file = run_dir / kStageKeysFile;
  if (!fs::exists(file)) {
    throw IoError(file, "is missing: nothing says which settings the stages were made under")
        .hint(kContinue);
  }
  Json json = read_json(file);
  if (json_get_or<std::string>(json, "config", "", file) != sha256(resolved_yaml)) {
    throw ConfigError(file.string(), "belongs to other settings than pipeline.resolved.yaml")
        .hint(kContinue);
  }
  return StageKeys(std::move(json));
}

void StageKeys::write(const fs::path& run_dir) const {
  write_json(run_dir / kStageKeysFile, json_);
}

void StageKeys::require(const std::vector<std::string>& names, const fs::path& run_dir) const {
  const auto keys = json_get<Json>(json_, "keys", kStageKeysFile);
  for (const std::string& name : names) {
    const fs::path folder = stage_folder(name, run_dir);
    if (!fs::exists(folder)) {
      throw IoError(folder, concat("stage '", name, "' has not finished")).hint(kContinue);
    }
    if (stage_has_key(name, json_get<std::string>(keys, name, kStageKeysFile), run_dir)) continue;
    throw ConfigError(folder.string(), concat("stage '", name, "' was made under other settings"))
        .expected("those of pipeline.resolved.yaml")
        .hint(kContinue);
  }
}

FileHashes::FileHashes(fs::path run_dir)
    : cache_file_(std::move(run_dir) / "file-hashes.json"), cache_(Json::object()) {
  if (fs::exists(cache_file_)) cache_ = read_own(cache_file_);
}

std::string FileHashes::of_file(const fs::path& file) {
  if (!has_name_for_json(file)) return sha256_file(file);
  std::error_code failure;
  const auto size = fs::file_size(file, failure);
  if (failure) throw IoError(file, failure.message());
  const auto modified = fs::last_write_time(file).time_since_epoch().count();
  const std::string version = concat(size, "@", modified);
  Json& entry = cache_[file.string()];
  const bool is_known = entry.is_object() && entry.value("version", Json()) == version &&
                        entry.value("sha256", Json()).is_string();
  if (!is_known) entry = {{"version", version}, {"sha256", sha256_file(file)}};
  return entry.at("sha256").get<std::string>();
}

std::string FileHashes::of(const fs::path& path) {
  if (!fs::is_directory(path)) return of_file(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Sha256 hash;
  for (const fs::path& file : files) {
    hash.update(concat(fs::relative(file, path).string(), '\0', of_file(file), '\n'));
  }
  return hash.finish();
}

void FileHashes::move(const fs::path& from, const fs::path& to) {
  Json moved = Json::object();
  for (const auto& [name, entry] : cache_.items()) {
    const fs::path within = fs::path(name).lexically_relative(from);
    const bool stays = within.empty() || within.begin()->string() == "..";
    moved[stays ? name : (to / within).string()] = entry;
  }
  cache_ = std::move(moved);
}

void FileHashes::save() const { write_json(cache_file_, cache_); }

}  // namespace polygraft::cli
