// cli/pipeline/pipeline.h: `polygraft run`: every stage from tokenizer to report, resumable after
// each.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "cli/pipeline/config.h"
#include "cli/pipeline/stage.h"
#include "eval/compare.h"
#include "eval/report.h"
#include "model/parallel/rank_grid.h"

namespace polygraft::cli {

/// The settings of a run folder, in full.
inline constexpr const char* kResolvedFile = "pipeline.resolved.yaml";
/// What a run consists of; its reports (eval::kReportFiles) are made of these again.
inline constexpr const char* kRunParts[] = {
    kResolvedFile, kStageKeysFile, "metrics.jsonl", "stages", "training", "model", "pack"};

/// The stages of a run, in order, with their keys. Nothing is done yet.
/// @param hashes remembers what the base and the texts hash to. @param grid of the ranks that share
/// the work, referred to; null: this process alone.
std::vector<Stage> make_stages(const ResolvedPipeline& pipeline, FileHashes& hashes,
                               const parallel::RankGrid* grid);

/// Of the run's stages `evaluate-base` and `evaluate`.
eval::Comparison compare_stages(const std::filesystem::path& run_dir, const eval::GateConfig& gate);

/// The report of a run folder, from what its stages left there. @throws IoError naming the stage
/// that is missing, ConfigError one that was made under other settings than the folder's.
eval::Report make_report(const std::filesystem::path& run_dir);

}  // namespace polygraft::cli
