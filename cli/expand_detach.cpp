// cli/expand_detach.cpp: `polygraft expand detach`: a model without one of its packs.
#include <iostream>

#include "cli/command.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/packs/attach.h"
#include "expand/packs/open_model.h"

namespace polygraft::cli {
namespace {

ExitCode run_expand_detach(const Arguments& arguments) {
  const auto model = model::ModelFolder::open(arguments.path("model"));
  const std::string name = arguments.text("pack");
  const size_t num_packs = model.manifest ? model.manifest->packs.size() : 0;
  if (arguments.dry_run()) {
    expand::summarize_model(model, {.packs = {}, .without = name, .options = {}});  // or refuses
    arguments.say_plan(concat("would detach '", name, "' from ", model.path.string(),
                              ", which has ", num_packs, num_packs == 1 ? " pack" : " packs"));
    return ExitCode::kDone;
  }
  const fs::path output = arguments.output();
  refuse_overlap(output, model.path);
  AtomicFolder folder(output, arguments.force());
  expand::detach_pack(model, name, folder.path());
  folder.commit();
  log_info(
      concat(num_packs == 1 ? "base" : "model without the pack", " written to ", output.string()));
  arguments.emit_json(
      {{"detached", name}, {"packs_left", num_packs - 1}, {"output", output.string()}});
  return ExitCode::kDone;
}

}  // namespace

Command expand_detach_command() {
  return {.name = "expand detach",
          .summary = "take a language pack off a model; without the last one it is the base again",
          .operands = "",
          .example = "polygraft expand detach --model models/id-sw --pack sw -o models/id",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("model", po::value<std::string>()->value_name("MODEL"), "model with packs");
                add("pack", po::value<std::string>()->value_name("NAME"),
                    "the pack's name: its language");
              },
          .add_operands = nullptr,
          .run = run_expand_detach,
          .writes_output = true};
}

}  // namespace polygraft::cli
