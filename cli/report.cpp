// cli/report.cpp: `polygraft report RUN_DIR`: the reports of a run folder again.
#include <iostream>

#include "cli/command.h"
#include "cli/pipeline/pipeline.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

ExitCode run_report(const Arguments& arguments) {
  const fs::path run_dir = arguments.path("run-dir");
  if (!fs::is_directory(run_dir))
    throw IoError(run_dir, "is no folder").expected("a run folder of `polygraft run`");
  if (!fs::exists(run_dir / kResolvedFile)) {
    throw IoError(run_dir, concat("is no run folder: it has no ", kResolvedFile))
        .expected("a run folder of `polygraft run`, the pipeline's run_dir");
  }
  const eval::Report report = make_report(run_dir);
  if (!arguments.dry_run()) eval::write_report(report, run_dir);
  if (arguments.stdout_is_free()) {
    std::cout << eval::comparison_table(report.comparison)
              << "\nreport: " << (run_dir / eval::kHtmlFile).string() << "\n";
  }
  arguments.emit_json(report.comparison.to_json());
  return ExitCode::kDone;
}

}  // namespace

Command report_command() {
  return {.name = "report",
          .summary = "report.html, report.md, report.json and junit.xml of a run folder again",
          .operands = "RUN_DIR",
          .example = "polygraft report runs/indonesian",
          .add_options =
              [](po::options_description& o) {
                o.add_options()("run-dir", po::value<std::string>()->value_name("DIR"),
                                "run folder");
              },
          .add_operands = [](po::positional_options_description& p) { p.add("run-dir", 1); },
          .run = run_report,
          .force_hint = "the reports of a run folder are always made again"};
}

}  // namespace polygraft::cli
