// cli/eval_choice.cpp: `polygraft eval choice`: multiple-choice accuracy by language, in
// lm-evaluation-harness's format.
#include <iostream>

#include "cli/command.h"
#include "cli/evaluation_command.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

void show(const Arguments& arguments, const eval::ChoiceResult& result) {
  Json json = Json::object();
  for (const auto& [name, task] : result.tasks) {
    Json& values = json[name] = {{"items", task.items.size()}};
    std::string line = concat(name, ":");
    for (const eval::AccuracyMetric& metric : eval::kAccuracyMetrics) {
      const double accuracy = eval::accuracy_of(task, metric);
      values[metric.name] = accuracy;
      line += concat(" ", metric.name, " ", fixed(accuracy, 4), ",");
    }
    if (arguments.stdout_is_free()) std::cout << line << " " << task.items.size() << " items\n";
  }
  const std::string output = arguments.output().string();
  log_info("results written to " + output);
  arguments.emit_json({{"tasks", json}, {"output", output}});
}

ExitCode run_eval_choice(const Arguments& arguments) {
  const MeasuredModel measured = measured_model(arguments);
  std::vector<fs::path> files;
  for (const std::string& file : arguments.texts("tasks")) files.emplace_back(file);
  const auto tasks = eval::read_choice_items(files);
  return run_evaluation<eval::ChoiceResult>(
      arguments, measured,
      {.planned = concat(tasks.size(), " tasks"),
       .warning = joined_words_warning(tasks),
       .evaluate = [&](const MeasuredModel& model) { return evaluate_choice(model, tasks); },
       .write = eval::write_choice_result,
       .show = show});
}

}  // namespace

Command eval_choice_command() {
  return {.name = "eval choice",
          .summary = "multiple-choice accuracy, by language",
          .operands = "",
          .example =
              "polygraft eval choice --model models/base --tasks tasks/cloze_id.jsonl "
              "-o results/choice",
          .notes = R"(A task file (.jsonl, .gz, .zst) has a question on each line:
  {"id": "q1", "language": "id", "context": "Klik kanan", "choices": [" sel", " baris"], "gold": 0}
A choice is scored as it stands behind its context: it brings its own leading space (lm-eval's
target_delimiter ""). gold counts from 0. Questions of equal "document" (optional) count as one
document. The file's name gives the task's, with _LANGUAGE behind it unless it ends so.
)",
          .add_options =
              [](po::options_description& o) {
                add_measured_model_options(o);
                Ranks::add_options(o);
                auto add = o.add_options();
                add("tasks",
                    po::value<std::vector<std::string>>()->multitoken()->value_name("FILE..."),
                    "files of {\"id\", \"language\", \"context\", \"choices\", \"gold\"} lines");
              },
          .add_operands = nullptr,
          .run = run_eval_choice,
          .has_ranks = true,
          .writes_output = true};
}

}  // namespace polygraft::cli
