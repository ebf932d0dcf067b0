// cli/train.cpp: `polygraft train --config FILE`: from scratch, continual over all weights, or
// additions alone; on one process, or on all those that a launcher started with this command.
#include <iostream>

#include "cli/command.h"
#include "cli/keep_inputs.h"
#include "cli/pipeline/checks.h"
#include "cli/ranks.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "trainer/trainer.h"

namespace polygraft::cli {
namespace {

/// What a dry run says.
void print_plan(const Arguments& arguments, const trainer::TrainFile& file,
                const trainer::TrainEstimate& estimate) {
  if (arguments.stdout_is_free()) std::cout << config_to_yaml(file, true);
  arguments.emit_json({{"steps", estimate.steps},
                       {"trainable_parameters", estimate.trainable_parameters},
                       {"peak_memory_bytes", estimate.peak_memory_bytes}});
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
  std::optional<FolderLock> lock;
  if (ranks.is_first()) {
    lock.emplace(job.run_dir);
    job.on_begin = [&] {
      write_file_atomically(job.run_dir / "train.resolved.yaml", config_to_yaml(file));
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
