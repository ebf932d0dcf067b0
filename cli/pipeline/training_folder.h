// cli/pipeline/training_folder.h: run_dir/training, where stage `train` keeps its checkpoints. It
// belongs to one stage key. Another key's training is not thrown away: the last one lies in
// run_dir/training.before, and goes on when its settings come back.
#pragma once
#include "cli/pipeline/config.h"
#include "cli/pipeline/stage.h"

namespace polygraft::cli {

fs::path training_folder(const fs::path& run_dir);

/// What stage `train` under `key` will do with training of other settings: which keys, which texts
/// and whether the base differ, and how many tokens it had. Empty where there is none. Changes
/// nothing but what `hashes` remembers.
std::string training_change(const PipelineConfig& config, const std::string& key,
                            FileHashes& hashes);

/// Makes run_dir/training the folder of `key`, and run_dir/metrics.jsonl a link into it.
void begin_training(const ResolvedPipeline& pipeline, const std::string& key);

}  // namespace polygraft::cli
