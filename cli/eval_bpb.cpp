// cli/eval_bpb.cpp: `polygraft eval bpb`: bits per byte of held-out text by language, in
// lm-evaluation-harness's format.
#include <iostream>

#include "cli/command.h"
#include "cli/evaluation_command.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/report.h"

namespace polygraft::cli {
namespace {

void show(const Arguments& arguments, const eval::BpbResult& result) {
  Json json = Json::object();
  for (const auto& [language, scores] : result.languages) {
    json[language] = eval::bits_per_byte(scores);
    if (arguments.stdout_is_free()) {
      std::cout << language << ": " << fixed(eval::bits_per_byte(scores), 4) << " bits per byte, "
                << scores.size() << " documents\n";
    }
  }
  if (arguments.stdout_is_free() && !result.causes.empty()) {
    std::cout << eval::causes_text(result.causes);
  }
  const std::string output = arguments.output().string();
  log_info("results written to " + output);
  arguments.emit_json({{"bits_per_byte", json}, {"output", output}});
}

ExitCode run_eval_bpb(const Arguments& arguments) {
  const MeasuredModel measured = measured_model(arguments);
  const auto corpus = tokenizer::load_corpus(arguments.path("corpus"));
  const BpbOptions options{arguments.flag("causes"), arguments.text("behind")};
  check_corpus(corpus, options);
  return run_evaluation<eval::BpbResult>(
      arguments, measured,
      {.planned = concat("the held-out text of ", corpus.languages.size(), " languages"),
       .evaluate = [&](const MeasuredModel& model) { return evaluate_bpb(model, corpus, options); },
       .write = eval::write_bpb_result,
       .show = show});
}

}  // namespace

Command eval_bpb_command() {
  return {
      .name = "eval bpb",
      .summary = "bits per byte of held-out text, by language",
      .operands = "",
      .example = "polygraft eval bpb --model models/base --corpus data/corpus.yaml -o results/base",
      .add_options =
          [](po::options_description& o) {
            add_measured_model_options(o);
            Ranks::add_options(o);
            auto add = o.add_options();
            add("corpus", po::value<std::string>()->value_name("FILE"), "corpus.yaml");
            add("causes", po::bool_switch(),
                "also split the change on old languages by cause: segmentation, head, router, "
                "experts (scores their text twice more)");
            add("behind", po::value<std::string>()->default_value("")->value_name("LANG"),
                "a language of the corpus: the others' documents stand behind a passage of it, "
                "read and not scored: what text costs that quotes or translates it");
          },
      .add_operands = nullptr,
      .run = run_eval_bpb,
      .has_ranks = true,
      .writes_output = true};
}

}  // namespace polygraft::cli
