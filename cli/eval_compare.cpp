// cli/eval_compare.cpp: `polygraft eval compare BASELINE CANDIDATE`: paired comparison and gate.
#include <iostream>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/earlier_output.h"
#include "cli/step_summary.h"
#include "core/file.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "eval/baseline_file.h"
#include "eval/compare.h"
#include "eval/report.h"

namespace polygraft::cli {
namespace {

constexpr const char* kTitle = "Comparison";

/// --html, --markdown and --junit ask for single files of the one report. All texts are made before
/// the first file is touched.
void write_requested(const Arguments& arguments, const eval::Comparison& comparison) {
  const eval::Report report = {.title = kTitle, .comparison = comparison};
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const char* option, auto text) {
    if (const auto file = arguments.optional_text(option)) files.emplace_back(*file, text());
  };
  add("html", [&] { return eval::report_html(report); });
  add("markdown", [&] { return eval::report_markdown(report); });
  add("junit", [&] { return eval::report_junit(kTitle, comparison); });
  for (const auto& [file, text] : files) write_file_atomically(file, text);
  append_step_summary(eval::report_markdown(report));
}

/// "results_2026-11-24.json (2 tasks), results_2026-11-23.json (1 task)", and what was left.
void say_what_was_read(const char* operand, const eval::ResultFolder& folder) {
  std::vector<std::string> files, unread;
  for (const auto& [path, num_tasks] : folder.files) {
    files.push_back(
        concat(path.filename().string(), " (", num_tasks, num_tasks == 1 ? " task)" : " tasks)"));
  }
  if (!files.empty()) log_info(concat(operand, ": read ", join(files, ", ")));
  constexpr size_t kShown = 6;
  for (const fs::path& file : folder.unread) {
    if (unread.size() < kShown) unread.push_back(fs::relative(file, folder.path).string());
  }
  if (unread.empty()) return;
  const size_t num_more = folder.unread.size() - unread.size();
  log_warn(concat(operand, ": not read, since no results file in ", folder.path.string(),
                  " names them: ", join(unread, ", "),
                  num_more > 0 ? concat(" and ", num_more, " more") : ""));
}

/// Without a candidate there is nothing to compare, only a baseline to be written.
void require_candidate(const Arguments& arguments) {
  if (arguments.optional_text("candidate")) return;
  if (!arguments.optional_text("write-baseline"))
    arguments.path("candidate");  // says it is missing
  for (const char* option : {"html", "markdown", "junit", "repeat-baseline"}) {
    if (!arguments.optional_text(option)) continue;
    throw ConfigError(concat("--", option), "means nothing without a CANDIDATE")
        .hint("name one, or leave it out: --write-baseline alone compares nothing");
  }
}

ExitCode only_write_baseline(const Arguments& arguments, const eval::ResultFolder& baseline) {
  const fs::path file = arguments.path("write-baseline");
  if (!arguments.dry_run()) eval::write_baseline(baseline, file);
  if (arguments.stdout_is_free()) std::cout << "baseline: " << file.string() << "\n";
  arguments.emit_json({{"baseline", file.string()}, {"tasks", baseline.tasks.size()}});
  return ExitCode::kDone;
}

/// A baseline that was not to be compared may be the wrong one.
void write_compared_baseline(const Arguments& arguments, const eval::Comparison& comparison,
                             const eval::ResultFolder& baseline) {
  const fs::path file = arguments.path("write-baseline");
  if (comparison.outcome != eval::Outcome::kNotComparable)
    return eval::write_baseline(baseline, file);
  log_warn(concat(file.string(),
                  " is not written: the results are not comparable; without a "
                  "CANDIDATE the baseline is written as it is"));
}

ExitCode run_eval_compare(const Arguments& arguments) {
  const auto gate = bind_config<eval::GateConfig>(arguments.config_or_defaults());
  const auto read = [&](const char* operand) {
    auto folder = eval::read_result_folder(arguments.path(operand), gate.document_field);
    say_what_was_read(operand, folder);
    return folder;
  };
  require_candidate(arguments);
  if (!arguments.dry_run())
    remove_earlier_reports(arguments, {"html", "markdown", "junit", "json"});
  const bool writes_baseline = arguments.optional_text("write-baseline").has_value();
  const auto baseline = read("baseline");
  if (!arguments.optional_text("candidate")) return only_write_baseline(arguments, baseline);
  const auto candidate = read("candidate");
  if (is_same(arguments.path("baseline"), arguments.path("candidate")))
    log_warn("baseline and candidate are the same results: nothing can differ");
  eval::Comparison comparison = eval::compare_results(baseline, candidate, gate);
  if (arguments.optional_text("repeat-baseline"))
    eval::add_noise_floor(comparison, baseline, read("repeat-baseline"));
  if (arguments.stdout_is_free()) std::cout << eval::comparison_table(comparison);
  if (!arguments.dry_run()) {
    write_requested(arguments, comparison);
    if (writes_baseline) write_compared_baseline(arguments, comparison, baseline);
  }
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
            add("baseline", po::value<std::string>()->value_name("RESULTS"),
                "result folder (ours or lm-evaluation-harness's), or a file of --write-baseline");
            add("candidate", po::value<std::string>()->value_name("RESULTS"),
                "result folder to be judged");
            add("repeat-baseline", po::value<std::string>()->value_name("RUN"),
                "another run of the baseline: its differences are shown as the noise floor");
            add("write-baseline", po::value<std::string>()->value_name("FILE"),
                "BASELINE's samples as one file to keep for CI; CANDIDATE may then be missing");
            add("markdown", po::value<std::string>()->value_name("FILE"),
                "file for a pull request");
            add("junit", po::value<std::string>()->value_name("FILE"), "JUnit XML file");
            add("html", po::value<std::string>()->value_name("FILE"), "report page");
          },
      .add_operands =
          [](po::positional_options_description& p) { p.add("baseline", 1).add("candidate", 1); },
      .run = run_eval_compare,
      .settings = documented_settings<eval::GateConfig>,
      .takes_config = true,
      .force_hint = "an earlier report or baseline is replaced without it"};
}

}  // namespace polygraft::cli
