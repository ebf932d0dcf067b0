// trainer/checkpoint.h: checkpoints of a run: run_dir/checkpoint-<step>/ with the trainable tensors
// in float32, both of AdamW's moments, and state.json. The frozen base is never written again. Best
// weights lie in run_dir/best-<step>/. Each folder appears whole or not at all, so a run may be
// killed at any moment; its state.json has the SHA-256 of every file, so that no flipped bit
// trains.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "trainer/data/row_stream.h"
#include "trainer/fingerprint.h"
#include "trainer/parallel/shared_optimizer.h"

namespace polygraft::trainer {

/// Everything about a run at a step boundary that is not a tensor.
struct TrainState {
  int64_t step = 0;            ///< steps done
  int64_t tokens = 0;          ///< trained on, replayed ones included
  int64_t probed_tokens = -1;  ///< `tokens` at the last probe; -1: none yet
  bool stopped = false;        ///< the budget ended the run early
  double seconds = 0;          ///< wall clock of the steps so far
  double probe_seconds = 0;    ///< and of the probes
  StreamPosition learned;
  Json replayed;  ///< ReplayMix; null without replay
  Json budget;    ///< BudgetController; null without a budget
  Json best;      ///< BestTracker; null without a budget
  uint64_t metrics_bytes = 0;

  Json to_json() const;
  static TrainState from_json(const Json& json, const fs::path& file);
};

class CheckpointStore {
 public:
  CheckpointStore(fs::path run_dir, Fingerprint fingerprint, int64_t keep)
      : run_dir_(std::move(run_dir)), fingerprint_(std::move(fingerprint)), keep_(keep) {}

  const Fingerprint& fingerprint() const { return fingerprint_; }

  /// Writes checkpoint-<step>, then prunes. The first rank calls it, and the others
  /// gather_moments() with it.
  void save(const TrainState& state, const Parameters& parameters,
            const SharedOptimizer& optimizer) const;

  /// Restores the newest checkpoint into tensors and optimizer (this rank's share); nothing when
  /// there is none. Every rank checks the files that it reads, so that all stop at a damaged one.
  /// @throws ConfigError when it belongs to other settings; FormatError when it is damaged.
  std::optional<TrainState> load_newest(const Parameters& parameters,
                                        SharedOptimizer& optimizer) const;

  /// Removes checkpoints beyond `keep`, best weights that nothing refers to any more, and what
  /// killed processes left of either: as they may be killed while they prune, a run that goes on
  /// does so, too. The first rank calls it, while no other one reads.
  void prune(const TrainState& newest) const;

  /// Where a checkpoint keeps what is no tensor.
  fs::path state_file(int64_t step) const;

  void save_best(int64_t step, const Parameters& parameters) const;
  /// @throws FormatError when they are damaged.
  void load_best(int64_t step, const Parameters& parameters) const;

 private:
  fs::path checkpoint_folder(int64_t step) const;
  fs::path best_folder(int64_t step) const;

  fs::path run_dir_;
  Fingerprint fingerprint_;
  int64_t keep_;
};

}  // namespace polygraft::trainer
