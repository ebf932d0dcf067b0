// cli/train.cpp: `polygraft train --config FILE`: from scratch, continual over all weights, or
// additions alone; on one process, or on all those that a launcher started with this command.
#include <iostream>

#include "cli/command.h"
#include "cli/earlier_output.h"
#include "cli/keep_inputs.h"
#include "cli/pipeline/checks.h"
#include "cli/ranks.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "trainer/trainer.h"

namespace polygraft::cli {
namespace {

constexpr const char* kResolvedFile = "train.resolved.yaml";

/// What a dry run says.
void print_plan(const Arguments& arguments, const trainer::TrainFile& file,
                const trainer::TrainEstimate& estimate) {
  if (arguments.stdout_is_free()) std::cout << config_to_yaml(file, true);
  arguments.emit_json({{"steps", estimate.steps},
                       {"trainable_parameters", estimate.trainable_parameters},
                       {"peak_memory_bytes", estimate.peak_memory_bytes}});
}

/// What a run leaves in its folder must be an earlier run's, and its result none of it.
void check_folders(const trainer::TrainJob& job) {
  for (const fs::path& input : {job.model, job.pack, job.tokenizer}) {
    if (!input.empty() && lies_in(job.run_dir, input)) refuse_overlap(job.run_dir, input);
  }
  require_earlier_run(job.run_dir, kLockFile, {"metrics.jsonl", "data"});
  const fs::path within = job.output.lexically_relative(job.run_dir);
  const std::string first = within.empty() ? "." : within.begin()->string();
  const bool is_taken = first == "data" || first.starts_with("checkpoint-") ||
                        first.starts_with("best-") || is_same(job.output, job.run_dir) ||
                        lies_in(job.run_dir, job.output);
  if (!is_taken) return;
  throw ConfigError("output", "is where the run keeps what it needs")
      .found(job.output.string())
      .hint(concat("name another folder, such as ", (job.run_dir / "model").string()));
}

ExitCode run_train(const Arguments& arguments) {
  const auto file = bind_config<trainer::TrainFile>(arguments.config());
  const fs::path folder = arguments.config_folder();
  trainer::TrainJob job = trainer::resolve_job(file, folder);
  keep_inputs(arguments, {job.model, job.pack, job.tokenizer, folder / file.corpus});
  keep_inputs(arguments, files_of(job.corpus));
  const Ranks ranks(arguments, Ranks::grid_shape(arguments));
  job.replace_output = arguments.force();
  job.ranks = ranks.grid();
  const trainer::TrainEstimate estimate = trainer::estimate_training(job);
  log_info(concat(human_count(estimate.steps), " steps, ",
                  human_count(estimate.trainable_parameters), " trainable parameters, about ",
                  human_bytes(estimate.peak_memory_bytes), " of memory"));
  check_memory(job.train, static_cast<double>(estimate.peak_memory_bytes), arguments.dry_run());
  if (arguments.dry_run()) {
    check_machine(job.train, Ranks::processes());
    if (ranks.is_first()) print_plan(arguments, file, estimate);
    return ExitCode::kDone;
  }
  refuse_existing_output(job.output, job.replace_output);
  for (const fs::path& read : {job.model, job.pack, job.tokenizer, job.run_dir}) {
    if (!read.empty()) refuse_replacing(job.output, read);
  }
  for (const fs::path& text : files_of(job.corpus)) refuse_replacing(job.output, text);
  check_folders(job);
  if (job.replace_output) require_earlier_output("output", job.output);
  std::optional<FolderLock> lock;
  if (ranks.is_first()) {
    lock.emplace(job.run_dir);
    AtomicFolder(job.output, job.replace_output);  // said now, not when the training is done
    job.on_begin = [&] {
      write_file_atomically(job.run_dir / kResolvedFile, config_to_yaml(file));
    };
  }
  const trainer::TrainResult result = trainer::train(job);
  if (ranks.is_first()) {
    log_info(concat(job.pack.empty() ? "model" : "pack", " written to ", job.output.string()));
    Json json = trainer::to_json(result);
    json["output"] = job.output.string();
    arguments.emit_json(json);
  }
  return result.within_budget ? ExitCode::kDone : ExitCode::kGateFailed;
}

}  // namespace

Command train_command() {
  return {.name = "train",
          .summary = "train from scratch, all weights of a model, or additions alone",
          .operands = "",
          .example = "polygraft train --config train.yaml --set train.tokens=200000",
          .add_options = Ranks::add_grid_options,
          .add_operands = nullptr,
          .run = run_train,
          .has_ranks = true,
          .settings = documented_settings<trainer::TrainFile>,
          .takes_config = true,
          .has_paths = true,
          .replaces_output = true};
}

}  // namespace polygraft::cli
