// cli/expand_attach.cpp: `polygraft expand attach`: packs put onto a model.
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

ExitCode run_expand_attach(const Arguments& arguments) {
  const auto model = model::ModelFolder::open(arguments.path("model"));
  std::vector<fs::path> packs;
  Json names = Json::array();
  for (const std::string& folder : arguments.texts("pack")) {
    packs.emplace_back(folder);
    names.push_back(expand::open_pack(folder).pack.name);
  }
  if (packs.empty()) throw ConfigError("command line", "--pack is missing");
  const expand::AttachOptions options{arguments.flag("allow-base-mismatch")};
  if (arguments.dry_run()) {
    expand::summarize_model(model,
                            {.packs = packs, .without = {}, .options = options});  // or refuses
    arguments.say_plan(concat("would attach ", names.dump(), " to ", model.path.string()));
    return ExitCode::kDone;
  }
  const fs::path output = arguments.output();
  refuse_overlap(output, model.path);
  for (const fs::path& pack : packs) refuse_overlap(output, pack);
  AtomicFolder folder(output, arguments.force());
  expand::attach_packs(model, packs, options, folder.path());
  folder.commit();
  log_info(concat("model with ", names.dump(), " attached written to ", output.string()));
  arguments.emit_json({{"attached", names}, {"output", output.string()}});
  return ExitCode::kDone;
}

}  // namespace

Command expand_attach_command() {
  return {.name = "expand attach",
          .summary = "put language packs onto a model",
          .operands = "",
          .example =
              "polygraft expand attach --model models/base --pack packs/id --pack packs/sw -o "
              "models/id-sw",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("model", po::value<std::string>()->value_name("MODEL"),
                    "base, or a model that has packs already");
                add("pack", po::value<std::vector<std::string>>()->composing()->value_name("PACK"),
                    "folder of a pack; may be repeated, in any order");
                add("allow-base-mismatch", po::bool_switch(),
                    "attach a pack of another base if its shapes fit");
              },
          .add_operands = nullptr,
          .run = run_expand_attach,
          .writes_output = true};
}

}  // namespace polygraft::cli
