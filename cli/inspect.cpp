// cli/inspect.cpp: `polygraft inspect MODEL`: what a model folder is.
#include <iostream>

#include "cli/command.h"
#include "core/text.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/serving_lint.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::cli {
namespace {

/// What serving engines and a later expansion would trip over.
std::vector<std::string> find_warnings(const model::ModelFolder& folder, int64_t tokenizer_size) {
  const model::ModelConfig& config = folder.config;
  auto warnings = model::serving_warnings({config.num_experts, config.vocab_rows, tokenizer_size,
                                           fs::exists(folder.path / "generation_config.json")});
  if (config.is_moe() && !config.renormalize_top_k) {
    warnings.push_back(
        "top-k weights are not renormalised: added experts take a share of the softmax from old "
        "ones even if never chosen (expand plan: softmax_shift)");
  }
  return warnings;
}

Json inspect_json(const model::ModelFolder& folder) {
  const model::ModelConfig& config = folder.config;
  const model::ParameterCount count = model::count_parameters(config);
  const int64_t tokenizer_size = tokenizer::Tokenizer::load(folder.path).size();
  Json packs = Json::array();
  if (folder.manifest) {
    for (const model::PackEntry& pack : folder.manifest->packs) {
      packs.push_back({{"name", pack.name},
                       {"experts", pack.num_experts},
                       {"vocab_rows", pack.num_vocab_rows}});
    }
  }
  return {{"family", config.family},
          {"num_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"num_experts", config.num_experts},
          {"top_k", config.top_k},
          {"vocab_rows", config.vocab_rows},
          {"tokenizer_size", tokenizer_size},
          {"params_total", count.total},
          {"params_active", count.active_per_token},
          {"dtype", std::string(model::torch_dtype_name(config.dtype))},
          {"bytes", folder.tensors.total_bytes()},
          {"tied_embeddings", config.tied_embeddings},
          {"packs", packs},
          {"warnings", find_warnings(folder, tokenizer_size)}};
}

ExitCode run(const Arguments& arguments) {
  const Json json = inspect_json(model::ModelFolder::open(arguments.path("model")));
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
          .add_options =
              [](po::options_description& o) {
                o.add_options()("model", po::value<std::string>(), "model folder");
              },
          .add_operands = [](po::positional_options_description& p) { p.add("model", 1); },
          .run = run};
}

}  // namespace polygraft::cli
