// trainer/trainer.h: the training loop: from scratch, continual over all weights, or over the
// additions alone. One loop; what differs is which tensors carry gradients and which objective a
// row gets.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "eval/causes.h"
#include "model/checkpoint/model_folder.h"
#include "model/parallel/rank_grid.h"
#include "tokenizer/corpus.h"
#include "trainer/config.h"

namespace polygraft::model {
struct Gpu;
}

namespace polygraft::trainer {

/// Everything a run needs, resolved. `model` and `scratch` exclude each other.
struct TrainJob {
  std::filesystem::path model;  ///< folder to start from (for `additions` expanded, or with `pack`)
  std::filesystem::path pack;   ///< put onto `model` and trained; `output` is a pack then, too
  std::optional<ArchitectureConfig> scratch;
  std::filesystem::path tokenizer;  ///< of `scratch`; beside `model`: an extension of its own
  tokenizer::Corpus corpus;
  std::vector<std::string> languages;  ///< languages with cross-entropy; old languages of the
                                       ///< corpus are replayed and protected
  std::filesystem::path run_dir;
  std::filesystem::path output;
  uint64_t seed = 17;
  TrainConfig train;
  bool replace_output = false;
  /// The ranks that run this job together, each with the same job; referred to. Null: this process
  /// alone.
  const parallel::RankGrid* ranks = nullptr;
  /// What `device: cuda` opens; empty: model::open_gpu(). Tests put the host there.
  std::function<model::Gpu()> open_gpu;
  /// Called once the run has begun or been resumed: its settings are those of its checkpoints.
  std::function<void()> on_begin;
  /// Called after each step, with the number of steps done. What it throws ends the run as a kill
  /// would: nothing is saved.
  std::function<void(int64_t step)> on_step;
};

/// One language at a probe; an old one against the base (additions masked, same text).
struct ProbeLine {
  double bits_per_byte = 0;
  double delta_relative = 0, ci_low = 0, ci_high = 0;
  double leak_share =
      0;  ///< share of (token, slot) pairs that go to added experts, all layers, BOS included
  double leak_mass = 0;                ///< mean router weight that added experts take
  double head_leak = 0;                ///< mean probability of added vocabulary rows
  std::optional<eval::Causes> causes;  ///< of an old language's change, where additions make it
};

/// Weights on the line between two steps'.
struct Blend {
  int64_t from_step = 0;
  double share = 1;  ///< of the way to the later step's
};

Json to_json(const Blend& blend);

struct TrainResult {
  int64_t steps = 0, tokens = 0;
  double seconds = 0;        ///< wall clock of the steps
  double probe_seconds = 0;  ///< and of the probes between them
  bool within_budget = true;
  int64_t best_step = 0;       ///< the step whose weights were written
  std::optional<Blend> blend;  ///< if not whole: blended with an earlier one's
  std::map<std::string, ProbeLine> last_probe;
};

/// As `train --json` prints it, less `output`.
Json to_json(const TrainResult& result);

/// Sizes before a long job begins.
struct TrainEstimate {
  int64_t steps = 0, trainable_parameters = 0, peak_memory_bytes = 0;
};
TrainEstimate estimate_training(const TrainJob& job);

/// The processes of a run, as they are known before they are joined.
struct Processes {
  int count = 1;
  bool exchange_gpu_memory = false;
};

/// What train() asks of the machine, to be known before hours of other work; a GPU is only opened
/// by it. @throws ConfigError or NotBuiltError.
void require_machine(const TrainConfig& config, const Processes& processes);

/// Runs (or resumes from run_dir's newest checkpoint, bit-exactly) and writes `output`.
/// metrics.jsonl grows a line a step.
/// @throws Interrupted after a signal, with a checkpoint written; NumericError when the loss is not
/// finite (step named).
TrainResult train(const TrainJob& job);

TrainJob resolve_job(const TrainFile& file, const std::filesystem::path& file_folder);

}  // namespace polygraft::trainer
