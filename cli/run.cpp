// cli/run.cpp: `polygraft run PIPELINE.yaml`: every stage; a finished one is skipped; the exit code
// is the gate's. On one process, or on all those that a launcher started with this command.
#include <algorithm>
#include <iostream>
#include <optional>

#include "cli/command.h"
#include "cli/earlier_output.h"
#include "cli/evaluate.h"
#include "cli/keep_inputs.h"
#include "cli/pipeline/checks.h"
#include "cli/pipeline/pipeline.h"
#include "cli/pipeline/repeated_text.h"
#include "cli/pipeline/shape_plan.h"
#include "cli/pipeline/training_folder.h"
#include "cli/ranks.h"
#include "cli/step_summary.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

/// Of every stage whether it is done, as run_stages() will find it.
Json stages_json(const std::vector<Stage>& stages, const fs::path& run_dir, FileHashes& hashes) {
  Json json = Json::array();
  for (const Stage& stage : stages)
    json.push_back({{"stage", stage.name}, {"done", stage_is_done(stage, run_dir, hashes)}});
  return json;
}

/// What a dry run says. @param stages none of a shape alone.
void print_plan(const Arguments& arguments, const PipelineConfig& config,
                const std::vector<Stage>& stages, FileHashes& hashes) {
  ShapePlan plan = plan_from_shape(config);
  plan.json["stages"] = stages_json(stages, config.run_dir, hashes);
  if (arguments.stdout_is_free()) {
    for (const Json& stage : plan.json.at("stages")) {
      std::cout << (stage.at("done").get<bool>() ? "done       " : "would run  ")
                << stage.at("stage").get<std::string>() << "\n";
    }
    std::cout << plan.text;
  }
  arguments.emit_json(plan.json);
}

/// What --until asks for. @throws ConfigError when there is no such stage.
std::vector<Stage> up_to(const std::vector<Stage>& stages, const std::string& last) {
  const auto end = std::find_if(stages.begin(), stages.end(),
                                [&](const Stage& stage) { return stage.name == last; });
  if (end != stages.end()) return {stages.begin(), end + 1};
  std::vector<std::string> names;
  for (const Stage& stage : stages) names.push_back(stage.name);
  throw ConfigError("--until", concat("there is no stage '", last, "'"))
      .expected(join(names, ", "));
}

/// By the estimate of `run --dry-run`, which says it as well.
void look_at_memory(const PipelineConfig& config, bool is_dry_run) {
  const ShapePlan plan = plan_from_shape(config);
  check_memory(config.train, static_cast<double>(plan.peak_memory_bytes), is_dry_run);
  if (plan.fits) return;
  const std::string name = config.machine.name.empty() ? "" : " " + config.machine.name;
  const auto text = [](auto bytes) { return human_bytes(static_cast<uint64_t>(bytes)); };
  log_warn(concat("training takes about ", text(plan.peak_memory_bytes),
                  " of memory, more than the ", text(config.machine.memory_gib * (1 << 30)),
                  " of the machine", name, "; a smaller train.micro_batch_tokens needs less"));
}

/// Null: there is none of this name.
const Stage* find_stage(const std::vector<Stage>& stages, const std::string& name) {
  const auto found = std::find_if(stages.begin(), stages.end(),
                                  [&](const Stage& stage) { return stage.name == name; });
  return found == stages.end() ? nullptr : &*found;
}

void warn_of_training_change(const Stage& training, const PipelineConfig& config,
                             FileHashes& hashes) {
  const std::string change = training_change(config, training.key, hashes);
  if (!change.empty()) log_warn(change);
}

/// Said before the first stage, hours before it happens. @param stages those that are asked for.
void warn_beforehand(const std::vector<Stage>& stages, const ResolvedPipeline& pipeline,
                     FileHashes& hashes, bool is_dry_run) {
  const PipelineConfig& config = pipeline.config;
  const Stage* training = find_stage(stages, "train");
  const bool is_trained = training != nullptr && stage_is_done(*training, config.run_dir, hashes);
  if (training != nullptr) warn_of_training_change(*training, config, hashes);
  if (training != nullptr && !is_trained) look_at_memory(config, is_dry_run);
  for (const std::string& sentence : find_few_documents(pipeline)) log_warn(sentence);
  if (!is_trained) {  // its key is the texts', too
    for (const std::string& sentence : find_repeated_text(pipeline.corpus)) log_warn(sentence);
  }
  const std::vector<std::string>& tasks = config.evaluate.choice;
  if (tasks.empty()) return;
  const std::string warning =
      joined_words_warning(eval::read_choice_items({tasks.begin(), tasks.end()}));
  if (!warning.empty()) log_warn(warning);
}

/// Who has changed a run's model may want to know why it comes back.
void warn_of_changed_output(const Stage& stage, const fs::path& run_dir, FileHashes& hashes) {
  if (!stage_has_key(stage.name, stage.key, run_dir)) return;
  const std::string changed = changed_output(stage, run_dir, hashes);
  if (changed.empty()) return;
  log_warn(concat("stage '", stage.name, "' is done again: ", changed,
                  " is not as the stage left it; keep a model of your own outside the run folder"));
}

/// @param hashes the first rank's alone are asked.
void run_stages(const std::vector<Stage>& stages, const fs::path& run_dir,
                const parallel::Team& team, FileHashes& hashes) {
  for (size_t i = 0; i < stages.size(); ++i) {
    team.throw_if_stopped();
    const Stage& stage = stages[i];
    const std::string label = concat("[", i + 1, "/", stages.size(), "] ", stage.name);
    const bool is_done = team.is_first() && stage_is_done(stage, run_dir, hashes);
    if (team.as_first_says(is_done ? 1 : 0) != 0) {
      log_info(label + ": done before, skipped");
    } else {
      log_info(label);
      if (team.is_first()) warn_of_changed_output(stage, run_dir, hashes);
      run_stage(stage, run_dir, team, hashes);
    }
  }
}

/// The verdict of an earlier run goes as soon as a stage is to be done again: it must not stand
/// beside new settings, nor beside a run that failed.
void remove_old_verdict(const std::vector<Stage>& stages, const fs::path& run_dir,
                        FileHashes& hashes) {
  if (std::all_of(stages.begin(), stages.end(),
                  [&](const Stage& stage) { return stage_is_done(stage, run_dir, hashes); })) {
    return;
  }
  for (const char* name : eval::kReportFiles) fs::remove(run_dir / name);
}

ExitCode finish(const Arguments& arguments, const fs::path& run_dir) {
  const eval::Report report = make_report(run_dir);
  if (arguments.stdout_is_free()) {
    std::cout << eval::comparison_table(report.comparison)
              << "\nreport: " << (run_dir / eval::kHtmlFile).string() << "\n";
  }
  append_step_summary(eval::report_markdown(report, /*stands_alone=*/false));
  arguments.emit_json(report.comparison.to_json());
  return eval::outcome_exit_code(report.comparison.outcome);
}

/// The run folder taken for this run: locked, with its settings, and no verdict of other ones.
FolderLock claim_run_dir(const ResolvedPipeline& pipeline, const std::vector<Stage>& stages,
                         FileHashes& hashes) {
  const fs::path run_dir = pipeline.config.run_dir;
  FolderLock lock(run_dir);
  remove_old_verdict(stages, run_dir, hashes);
  hashes.save();                                                  // for the other ranks, too
  write_file_atomically(run_dir / kResolvedFile, pipeline.yaml);  // first: the folder is a run's
  StageKeys(stages, pipeline.yaml).write(run_dir);
  return lock;
}

ExitCode run_pipeline(const Arguments& arguments) {
  const fs::path file = arguments.path("pipeline");
  const ResolvedPipeline pipeline =
      resolve_pipeline(arguments.config("pipeline"), fs::absolute(file).parent_path(),
                       RunPlace{Ranks::processes(), /*is_dry_run=*/arguments.dry_run()});
  const std::vector<std::string>& tasks = pipeline.config.evaluate.choice;
  keep_inputs(arguments, {pipeline.config.base, pipeline.corpus_file});
  keep_inputs(arguments, {tasks.begin(), tasks.end()});
  keep_inputs(arguments, files_of(pipeline.corpus));
  const Ranks ranks(arguments, Ranks::grid_shape(arguments));
  const fs::path run_dir = pipeline.config.run_dir;
  const std::string until = arguments.optional_text("until").value_or("report");
  if (arguments.dry_run() && is_shape_alone(pipeline.config.base)) {
    FileHashes none(run_dir);
    if (ranks.is_first()) print_plan(arguments, pipeline.config, {}, none);
    return ExitCode::kDone;
  }
  std::optional<FolderLock> lock;  // the first rank's
  std::optional<FileHashes> hashes;
  const auto begin = [&] {
    hashes.emplace(run_dir);
    const std::vector<Stage> stages = make_stages(pipeline, *hashes, ranks.grid());
    std::vector<Stage> asked_for = up_to(stages, until);
    if (!ranks.is_first()) return asked_for;
    for (const char* written : {"stages", "model"}) {
      refuse_overlap(run_dir / written, pipeline.config.base);
    }
    std::vector<std::string> names(std::begin(kRunParts), std::end(kRunParts));
    names.insert(names.end(), std::begin(eval::kReportFiles), std::end(eval::kReportFiles));
    require_earlier_run(run_dir, kResolvedFile, names);
    warn_beforehand(asked_for, pipeline, *hashes, arguments.dry_run());
    if (arguments.dry_run()) return asked_for;
    lock.emplace(claim_run_dir(pipeline, stages, *hashes));
    remove_earlier_reports(arguments, {"json"});
    return asked_for;
  };
  const std::vector<Stage> stages = ranks.team().in_turn(begin);
  if (arguments.dry_run()) {
    if (ranks.is_first()) print_plan(arguments, pipeline.config, stages, *hashes);
    return ExitCode::kDone;
  }
  run_stages(stages, run_dir, ranks.team(), *hashes);
  ExitCode code = ExitCode::kDone;
  if (until == "report" && ranks.is_first()) {
    code = finish(arguments, run_dir);
  } else if (ranks.is_first()) {
    arguments.emit_json({{"until", until}});
  }
  return static_cast<ExitCode>(ranks.team().as_first_says(static_cast<int64_t>(code)));
}

}  // namespace

Command run_command() {
  return {.name = "run",
          .summary = "the whole expansion of a pipeline.yaml; the exit code is the gate's",
          .operands = "PIPELINE.yaml",
          .example = "polygraft run indonesian.yaml --set train.tokens=300000",
          .notes =
              R"(The exit code is the gate's. 0: it passed; 3: an old language was measured worse
by more than the margin, or the new one gained too little; 4: not enough evidence, or not
comparable. Training that ended outside train.budget changes none of these: a sentence beside the
verdict says it.
)",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("pipeline", po::value<std::string>()->value_name("FILE"), "pipeline.yaml");
                add("until", po::value<std::string>()->value_name("STAGE"),
                    "stop after this stage, of those that --dry-run lists");
                Ranks::add_grid_options(o);
              },
          .add_operands = [](po::positional_options_description& p) { p.add("pipeline", 1); },
          .run = run_pipeline,
          .has_ranks = true,
          .settings = documented_settings<PipelineConfig>,
          .has_paths = true,
          .force_hint = "stages whose inputs changed are done again without it"};
}

}  // namespace polygraft::cli
