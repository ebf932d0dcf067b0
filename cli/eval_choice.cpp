// cli/eval_choice.cpp: `polygraft eval choice`: multiple-choice accuracy by language, in
// lm-evaluation-harness's format.
#include <iostream>

#include "cli/command.h"
#include "cli/evaluation_command.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

struct Means {
  double raw = 0, by_characters = 0, by_bytes = 0, by_tokens = 0;
};

Means means_of(const eval::ChoiceTask& task) {
  Means means;
  const double share = 1.0 / static_cast<double>(task.items.size());
  for (size_t i = 0; i < task.items.size(); ++i) {
    const eval::ChoiceAccuracy right = eval::accuracy_of(task.scores[i], task.items[i].gold);
    means.raw += right.raw ? share : 0;
    means.by_characters += right.by_characters ? share : 0;
    means.by_bytes += right.by_bytes ? share : 0;
    means.by_tokens += right.by_tokens ? share : 0;
  }
  return means;
}

void show(const Arguments& arguments, const eval::ChoiceResult& result) {
  Json json = Json::object();
  for (const auto& [name, task] : result.tasks) {
    const Means means = means_of(task);
    json[name] = {{"acc", means.raw},
                  {"acc_norm", means.by_characters},
                  {"acc_bytes", means.by_bytes},
                  {"acc_tokens", means.by_tokens},
                  {"items", task.items.size()}};
    if (!arguments.stdout_is_free()) continue;
    std::cout << name << ": accuracy " << fixed(means.raw, 4) << ", by bytes "
              << fixed(means.by_bytes, 4) << ", by tokens " << fixed(means.by_tokens, 4) << ", "
              << task.items.size() << " items\n";
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
