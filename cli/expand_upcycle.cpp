// cli/expand_upcycle.cpp: `polygraft expand upcycle`: a dense model into a mixture of experts.
#include <iostream>

#include "cli/command.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/overlap.h"
#include "core/text.h"
#include "expand/upcycle.h"

namespace polygraft::cli {
namespace {

std::string describe(const expand::UpcyclePlan& plan) {
  const model::ParameterCount count = model::count_parameters(plan.model);
  const double active =
      static_cast<double>(count.active_per_token) / static_cast<double>(count.total);
  std::string text =
      concat(plan.model.family, ": ", plan.model.num_experts, " experts of width ",
             plan.model.expert_width, " a layer, ", plan.model.top_k, " per token; ",
             human_count(count.total), " parameters, ", human_count(count.active_per_token),
             " active per token (", fixed(100 * active, 1), " %)\n");
  if (plan.why_changed.empty()) return text + "the dense model's function is kept\n";
  text += "the dense model's function changes:\n";
  for (const std::string& reason : plan.why_changed) text += concat("  ", reason, "\n");
  return text;
}

ExitCode run_expand_upcycle(const Arguments& arguments) {
  const auto config = bind_config<expand::UpcycleConfig>(arguments.config_or_defaults());
  const auto dense = model::ModelFolder::open(arguments.path("model"));
  const expand::UpcyclePlan plan = expand::plan_upcycle(dense, config);
  if (arguments.stdout_is_free()) std::cout << describe(plan);
  if (!arguments.dry_run()) {
    const fs::path output = arguments.output();
    refuse_overlap(output, dense.path);
    AtomicFolder folder(output, arguments.force());
    expand::upcycle(dense, plan, folder.path());
    folder.commit();
    log_info(concat("mixture of experts written to ", output.string()));
  }
  arguments.emit_json(plan.to_json());
  return ExitCode::kDone;
}

}  // namespace

Command expand_upcycle_command() {
  return {.name = "expand upcycle",
          .summary = "make a dense model into a fine-grained mixture of experts",
          .operands = "",
          .example =
              "polygraft expand upcycle --model models/dense --set slices=8 --set copies=4 "
              "-o models/moe",
          .add_options =
              [](po::options_description& o) {
                auto add = o.add_options();
                add("model", po::value<std::string>()->value_name("MODEL"),
                    "dense model folder (llama or qwen3)");
              },
          .add_operands = nullptr,
          .run = run_expand_upcycle,
          .settings = documented_settings<expand::UpcycleConfig>,
          .takes_config = true,
          .writes_output = true};
}

}  // namespace polygraft::cli
