// cli/expand_graft.cpp: `polygraft expand graft`: base + additions as one model folder.
#include <iostream>

#include "cli/command.h"
#include "core/file.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/graft.h"

namespace polygraft::cli {
namespace {

ExitCode run(const Arguments& arguments) {
  const fs::path plan_file = arguments.path("plan");
  const auto plan = expand::ExpansionPlan::from_json(read_json(plan_file), plan_file);
  const auto base = model::ModelFolder::open(arguments.path("model"));
  if (arguments.dry_run()) {
    std::cout << expand::plan_table(plan);
    return ExitCode::kDone;
  }
  const fs::path output = arguments.output();
  refuse_overlap(output, base.path);
  AtomicFolder folder(output, arguments.force());
  expand::graft(base, plan, folder.path());
  folder.commit();
  log_info(concat("expanded model written to ", output.string(), " (+",
                  human_bytes(plan.added_bytes), ")"));
  arguments.emit_json(plan.to_json());
  return ExitCode::kDone;
}

}  // namespace

Command expand_graft_command() {
  return {
      .name = "expand graft",
      .summary = "write base + additions as one model folder",
      .operands = "",
      .example = "polygraft expand graft --model models/base --plan plan.json -o models/grafted",
      .add_options =
          [](po::options_description& o) {
            auto add = o.add_options();
            add("model", po::value<std::string>(), "model folder");
            add("plan", po::value<std::string>(), "what `expand plan` wrote");
          },
      .add_operands = nullptr,
      .run = run};
}

}  // namespace polygraft::cli
