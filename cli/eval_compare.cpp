// cli/eval_compare.cpp: `polygraft eval compare BASELINE CANDIDATE`: paired comparison and gate.
#include <unistd.h>

#include <iostream>
#include <map>

#include "cli/command.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"
#include "eval/compare.h"
#include "eval/report.h"

namespace polygraft::cli {
namespace {

/// --html, --markdown and --junit ask for single files of the one report.
void write_requested(const Arguments& arguments, const eval::Comparison& comparison) {
  const std::map<std::string, std::string> files = {
      {"html", "report.html"}, {"markdown", "report.md"}, {"junit", "junit.xml"}};
  bool any = false;
  for (const auto& [option, name] : files) any = any || arguments.optional_text(option).has_value();
  if (!any) return;
  const fs::path scratch = fs::temp_directory_path() / concat("polygraft-report-", getpid());
  fs::create_directories(scratch);
  eval::write_report({.title = "Comparison", .comparison = comparison}, scratch);
  for (const auto& [option, name] : files) {
    if (const auto file = arguments.optional_text(option))
      write_file_atomically(*file, read_file(scratch / name));
  }
  fs::remove_all(scratch);
}

ExitCode run(const Arguments& arguments) {
  const auto gate = bind_config<eval::GateConfig>(arguments.config_or_defaults());
  const auto baseline = eval::read_result_folder(arguments.path("baseline"), gate.document_field);
  const auto candidate = eval::read_result_folder(arguments.path("candidate"), gate.document_field);
  const eval::Comparison comparison = eval::compare_results(baseline, candidate, gate);
  if (arguments.stdout_is_free()) std::cout << eval::comparison_table(comparison);
  write_requested(arguments, comparison);
  arguments.emit_json(comparison.to_json());
  return eval::outcome_exit_code(comparison.outcome);
}

}  // namespace

Command eval_compare_command() {
  return {
      .name = "eval compare",
      .summary = "paired comparison of two result folders, and the gate",
      .operands = "BASELINE CANDIDATE",
      .example =
          "polygraft eval compare results/base results/expanded --set margin_relative_bpb=0.002 "
          "--markdown delta.md",
      .add_options =
          [](po::options_description& o) {
            auto add = o.add_options();
            add("baseline", po::value<std::string>(),
                "result folder (ours or lm-evaluation-harness's)");
            add("candidate", po::value<std::string>(), "result folder to be judged");
            add("markdown", po::value<std::string>(), "file for a pull request");
            add("junit", po::value<std::string>(), "JUnit XML file");
            add("html", po::value<std::string>(), "report page");
          },
      .add_operands =
          [](po::positional_options_description& p) { p.add("baseline", 1).add("candidate", 1); },
      .run = run};
}

}  // namespace polygraft::cli
