// cli/inspect.cpp: `polygraft inspect MODEL`: what a model folder is.
#include <iostream>

#include "cli/model_option.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/serving_lint.h"

namespace polygraft::cli {
namespace {

/// What serving engines and a later expansion would trip over.
std::vector<std::string> find_warnings(const fs::path& folder, const expand::ModelSummary& model) {
  const model::ModelConfig& config = model.config;
  auto warnings = model::serving_warnings({config.num_experts, config.vocab_rows, model.num_tokens,
                                           fs::exists(folder / "generation_config.json")});
  if (config.is_moe() && !config.renormalize_top_k) {
    warnings.push_back(
        "top-k weights are not renormalised: added experts take a share of the softmax from old "
        "ones even if never chosen (expand plan: softmax_shift)");
  }
  return warnings;
}

/// With packs put on, of the sum, as if it were written.
Json inspect_json(const model::ModelFolder& folder, const expand::PackChoice& choice) {
  const expand::ModelSummary model = expand::summarize_model(folder, choice);
  const model::ModelConfig& config = model.config;
  const model::ParameterCount count = model::count_parameters(config);
  const int64_t more = count.total - model::count_parameters(folder.config).total;
  const auto width = static_cast<int64_t>(model::dtype_bytes(config.dtype));
  Json packs = Json::array();
  for (const model::PackEntry& pack : model.packs) {
    packs.push_back(
        {{"name", pack.name}, {"experts", pack.num_experts}, {"vocab_rows", pack.num_vocab_rows}});
  }
  return {{"family", config.family},
          {"num_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"num_experts", config.num_experts},
          {"top_k", config.top_k},
          {"vocab_rows", config.vocab_rows},
          {"tokenizer_size", model.num_tokens},
          {"params_total", count.total},
          {"params_active", count.active_per_token},
          {"dtype", std::string(model::torch_dtype_name(config.dtype))},
          {"bytes", static_cast<int64_t>(folder.tensors.total_bytes()) + more * width},
          {"tied_embeddings", config.tied_embeddings},
          {"packs", packs},
          {"warnings", find_warnings(folder.path, model)}};
}

ExitCode run_inspect(const Arguments& arguments) {
  const Json json =
      inspect_json(model::ModelFolder::open(arguments.path("model")), chosen_packs(arguments));
  if (arguments.stdout_is_free()) {
    for (const auto& [key, value] : json.items()) {
      std::cout << key << std::string(18 - key.size(), ' ')
                << (value.is_number_integer() ? human_count(value.get<uint64_t>())
                    : value.is_string()       ? value.get<std::string>()
                                              : value.dump())
                << "\n";
    }
  }
  arguments.emit_json(json);
  return ExitCode::kDone;
}

}  // namespace

Command inspect_command() {
  return {.name = "inspect",
          .summary = "family, shapes, parameters, vocabulary, packs of a model folder",
          .operands = "MODEL",
          .example = "polygraft inspect models/base --json -",
          .add_options = [](po::options_description& o) { add_model_options(o); },
          .add_operands = [](po::positional_options_description& p) { p.add("model", 1); },
          .run = run_inspect};
}

}  // namespace polygraft::cli
