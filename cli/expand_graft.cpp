// cli/expand_graft.cpp: `polygraft expand graft`: base + additions as one model folder.
#include <iostream>

#include "cli/command.h"
#include "cli/ranks.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/graft.h"

namespace polygraft::cli {
namespace {

ExitCode run_expand_graft(const Arguments& arguments) {
  const fs::path plan_file = arguments.path("plan");
  const auto plan = expand::ExpansionPlan::from_json(read_json(plan_file), plan_file);
  const auto base = model::ModelFolder::open(arguments.path("model"));
  const Ranks ranks(arguments);
  if (arguments.dry_run()) {
    if (!ranks.is_first()) return ExitCode::kDone;
    if (arguments.stdout_is_free()) std::cout << expand::plan_table(plan);
    arguments.emit_json(plan.to_json());
    return ExitCode::kDone;
  }
  const fs::path output = arguments.output();
  refuse_overlap(output, base.path);
  refuse_existing_output(output, arguments.force());
  std::optional<AtomicFolder> folder;
  if (ranks.is_first()) folder.emplace(output, arguments.force());
  expand::graft(base, plan, folder ? folder->path() : fs::path(), ranks.team());
  if (folder) {
    folder->commit();
    log_info(concat("expanded model written to ", output.string(), " (+",
                    human_bytes(plan.added_bytes), ")"));
    arguments.emit_json(plan.to_json());
  }
  ranks.team().wait_for_all();
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
            add("model", po::value<std::string>()->value_name("MODEL"), "model folder");
            add("plan", po::value<std::string>()->value_name("FILE"), "what `expand plan` wrote");
            Ranks::add_options(o);
          },
      .add_operands = nullptr,
      .run = run_expand_graft,
      .has_ranks = true,
      .writes_output = true};
}

}  // namespace polygraft::cli
