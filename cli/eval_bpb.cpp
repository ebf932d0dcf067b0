// cli/eval_bpb.cpp: `polygraft eval bpb`: bits per byte of held-out text by language, in
// lm-evaluation-harness's format.
#include <iostream>

#include "cli/command.h"
#include "cli/evaluate.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/report.h"

namespace polygraft::cli {
namespace {

ExitCode run(const Arguments& arguments) {
  MeasuredModel measured = measured_model(arguments);
  const auto corpus = tokenizer::load_corpus(arguments.path("corpus"));
  const fs::path output = arguments.output();
  if (arguments.dry_run()) {
    std::cout << "would score the held-out text of " << corpus.languages.size()
              << " languages into " << output << "\n";
    return ExitCode::kDone;
  }
  AtomicFolder target(output, arguments.force());
  Unfinished unfinished(Unfinished::beside(output));
  measured.unfinished = unfinished.folder();
  const eval::BpbResult result = evaluate_bpb(measured, corpus, arguments.flag("causes"));
  eval::write_bpb_result(result, target.path());
  target.commit();
  unfinished.remove();
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
  log_info(concat("results written to ", output.string()));
  arguments.emit_json({{"bits_per_byte", json}, {"output", output.string()}});
  return ExitCode::kDone;
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
            auto add = o.add_options();
            add("corpus", po::value<std::string>(), "corpus.yaml");
            add("causes", po::bool_switch(),
                "also split the change on old languages by cause: segmentation, head, router, "
                "experts (scores their text twice more)");
          },
      .add_operands = nullptr,
      .run = run};
}

}  // namespace polygraft::cli
