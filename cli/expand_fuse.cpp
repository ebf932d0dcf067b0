// cli/expand_fuse.cpp: `polygraft expand fuse`: a model's packs made part of it.
#include <iostream>

#include "cli/command.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/packs/fuse.h"

namespace polygraft::cli {
namespace {

std::string packs_text(size_t count) { return concat(count, count == 1 ? " pack" : " packs"); }

ExitCode run_expand_fuse(const Arguments& arguments) {
  const auto model = model::ModelFolder::open(arguments.path("model"));
  expand::require_packs(model);
  const size_t num_packs = model.manifest->packs.size();
  if (arguments.dry_run()) {
    arguments.say_plan(
        concat("would make ", packs_text(num_packs), " of ", model.path.string(), " part of it"));
    return ExitCode::kDone;
  }
  const fs::path output = arguments.output();
  refuse_overlap(output, model.path);
  AtomicFolder folder(output, arguments.force());
  expand::fuse_packs(model, folder.path());
  folder.commit();
  log_info(
      concat("model with ", packs_text(num_packs), " as part of it written to ", output.string()));
  arguments.emit_json({{"fused", num_packs}, {"output", output.string()}});
  return ExitCode::kDone;
}

}  // namespace

Command expand_fuse_command() {
  return {.name = "expand fuse",
          .summary = "make a model's packs part of it, to graft another language on top",
          .operands = "",
          .example = "polygraft expand fuse --model runs/id/model -o models/with-id",
          .add_options =
              [](po::options_description& o) {
                o.add_options()("model", po::value<std::string>()->value_name("MODEL"),
                                "model with packs");
              },
          .add_operands = nullptr,
          .run = run_expand_fuse,
          .writes_output = true};
}

}  // namespace polygraft::cli
