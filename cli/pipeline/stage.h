// cli/pipeline/stage.h: a stage of a run: what it depends on, whether it is done, and how it leaves
// its result. A stage's key is a hash over everything that determines its output: its config, the
// files it reads, and the keys of the stages before it. A stage whose stamp carries the current
// key, and whose output is still what it left, is skipped.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "model/parallel/team.h"

namespace polygraft::cli {

/// Of a run folder: what StageKeys::write() leaves.
inline constexpr const char* kStageKeysFile = "stage-keys.json";

/// Which of several processes do a stage's work.
enum class StageRanks { kFirst, kAll };

struct Stage {
  std::string name;
  std::string key;                                  ///< SHA-256
  std::vector<fs::path> outputs;                    ///< must exist for the stage to count as done
  std::function<void(const fs::path& folder)> run;  ///< fills `folder`, which becomes stages/<name>
  StageRanks ranks = StageRanks::kFirst;  ///< kAll: the first has the folder, the others "" for it
};

/// Whether stages/<name> is there and was made under this key.
bool stage_has_key(const std::string& name, const std::string& key, const fs::path& run_dir);

/// The keys of a run's stages as its resolved config has them: what `polygraft report` holds stamps
/// against. A run folder may lie elsewhere than its base and texts, so they are kept, not made
/// anew.
class StageKeys {
 public:
  StageKeys(const std::vector<Stage>& stages, const std::string& resolved_yaml);
  /// @throws IoError or ConfigError where a folder's keys are not those of its resolved config.
  static StageKeys read(const fs::path& run_dir, const std::string& resolved_yaml);
  void write(const fs::path& run_dir) const;
  /// @throws IoError naming the first of `names` that is missing, ConfigError one that was made
  /// under another key.
  void require(const std::vector<std::string>& names, const fs::path& run_dir) const;

 private:
  explicit StageKeys(Json json) : json_(std::move(json)) {}
  Json json_;  ///< config: SHA-256 of the resolved config; keys: by stage
};

/// SHA-256 of files, remembered by (path, size, modification time) in run_dir/file-hashes.json, so
/// that a second run of the pipeline does not read a large model again.
class FileHashes {
 public:
  explicit FileHashes(fs::path run_dir);
  /// One hash over all files of a folder, or over one file. @throws IoError.
  std::string of(const fs::path& path);
  /// A folder was renamed, which changes neither sizes nor times of what is in it.
  void move(const fs::path& from, const fs::path& to);
  void save() const;

 private:
  std::string of_file(const fs::path& file);
  fs::path cache_file_;
  Json cache_;
};

/// Whether stages/<name>/stamp.json carries the stage's key, and every output exists and is what
/// the stage left, the files in stages/<name> too, which later stages read.
bool stage_is_done(const Stage& stage, const fs::path& run_dir, FileHashes& hashes);

/// The first file of the stage's folder, or of the model or the pack, that is gone or not as the
/// stage left it, or "". A file is read again where its size or time is another than
/// remembered, as in a run folder that was copied.
std::string changed_output(const Stage& stage, const fs::path& run_dir, FileHashes& hashes);

/// Runs the stage into an AtomicFolder and stamps it: a killed stage leaves nothing under its final
/// name. By every rank of the team, which goes on once all of it is there. @param hashes the first
/// rank's.
void run_stage(const Stage& stage, const fs::path& run_dir, const parallel::Team& team,
               FileHashes& hashes);

}  // namespace polygraft::cli
