// tests/model/checkpoint/model_folder_test.cpp: a folder opens when config, tensors, layout and
// manifest agree, and says what disagrees otherwise.
#include "core/json.h"
#include "fixtures.h"
#include "model/checkpoint/tensor_writer.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

std::vector<TensorSpec> specs_of(const Json& json, ExpertLayout layout) {
  return expected_tensors(parse_model_config(json, "config.json"), layout);
}

std::string refusal(const TemporaryFolder& scratch) {
  return message_of<FormatError>([&] { ModelFolder::open(scratch.path()); });
}

Json tied(const std::string& family) {
  Json json = tiny_config(family);
  json["tie_word_embeddings"] = true;
  return json;
}

}  // namespace

TEST_CASE("every family opens in every layout it has, tied and untied", "[model][checkpoint]") {
  const auto opens = [](const std::string& family, ExpertLayout layout) {
    for (const Json& json : {tiny_config(family), tied(family)}) {
      const TemporaryFolder scratch;
      write_tiny_model(scratch.path(), json, layout);
      const ModelFolder folder = ModelFolder::open(scratch.path());
      CHECK(folder.family->model_type == family);
      CHECK(folder.layout == layout);
      CHECK(folder.path == scratch.path());
      CHECK_FALSE(folder.manifest);
      CHECK(folder.num_base_experts() == folder.config.num_experts);
      CHECK(folder.num_added_vocab_rows() == 0);
      CHECK(folder.tensors.contains("lm_head.weight") != folder.config.tied_embeddings);
    }
  };
  opens("llama", ExpertLayout::kNone);
  opens("qwen3", ExpertLayout::kNone);
  opens("qwen3_moe", ExpertLayout::kPerExpert);
  opens("qwen3_moe", ExpertLayout::kFused);
}

TEST_CASE("config.json is kept as it was, unknown keys and order included", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_tiny_model(scratch.path(), tiny_config("llama"), ExpertLayout::kNone);
  OrderedJson json = {{"zebra", {{"b", 1}, {"a", 2}}}};
  json.update(OrderedJson(tiny_config("llama")));
  write_json(scratch / "config.json", json);
  CHECK(ModelFolder::open(scratch.path()).config_json->dump() == json.dump());
}

TEST_CASE("a wrong shape names tensor, expected and found shape, and counts the experts",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  Json json = tiny_config("qwen3_moe");
  write_tiny_model(scratch.path(), json, ExpertLayout::kPerExpert);
  json["num_experts"] = 5;
  write_json(scratch / "config.json", json);
  CHECK_THAT(refusal(scratch),
             Contains("'model.layers.0.mlp.experts.4.gate_proj.weight' is missing") &&
                 Contains("num_experts (5)") && Contains("experts present (4)"));
  json["num_experts"] = 3;
  write_json(scratch / "config.json", json);
  CHECK_THAT(
      refusal(scratch),
      Contains("'model.layers.0.mlp.gate.weight' has the wrong shape") &&
          Contains("[3, 16] (num_experts x hidden_size, one row per expert of config.json)") &&
          Contains("found:    [4, 16]"));
}

TEST_CASE("a missing tensor and a tensor left over are named", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const Json json = tiny_config("qwen3");
  write_json(scratch / "config.json", json);
  auto specs = specs_of(json, ExpertLayout::kNone);
  const auto norm = std::find_if(specs.begin(), specs.end(), [](const TensorSpec& spec) {
    return spec.name == "model.layers.1.self_attn.q_norm.weight";
  });
  const TensorSpec kept = *norm;
  specs.erase(norm);
  write_tiny_tensors(scratch.path(), specs);
  CHECK_THAT(refusal(scratch), Contains("'model.layers.1.self_attn.q_norm.weight' is missing"));
  specs.push_back(kept);
  specs.push_back({"model.layers.2.mlp.up_proj.weight", Dtype::kBF16, {24, 16}});
  write_tiny_tensors(scratch.path(), specs);
  CHECK_THAT(refusal(scratch), Contains("'model.layers.2.mlp.up_proj.weight'") &&
                                   Contains("no place") && Contains("Qwen3ForCausalLM"));
}

TEST_CASE("each layer may have its own layout, but not a part of a layer", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const Json json = tiny_config("qwen3_moe");
  write_json(scratch / "config.json", json);
  const auto fused = specs_of(json, ExpertLayout::kFused);
  const auto apart = specs_of(json, ExpertLayout::kPerExpert);
  const auto expert_specs = [](const std::vector<TensorSpec>& specs, const std::string& layer) {
    std::vector<TensorSpec> chosen;
    for (const TensorSpec& spec : specs) {
      if (spec.name.find(layer + ".mlp.experts.") != std::string::npos) chosen.push_back(spec);
    }
    return chosen;
  };
  SECTION("one layer has both") {
    auto specs = fused;
    for (const auto& spec : expert_specs(apart, "layers.1")) specs.push_back(spec);
    write_tiny_tensors(scratch.path(), specs);
    CHECK_THAT(refusal(scratch), Contains("one by one and some fused"));
  }
  SECTION("layers differ") {
    std::vector<TensorSpec> specs;
    for (const auto& spec : fused) {
      if (spec.name.find("layers.1.mlp.experts.") == std::string::npos) specs.push_back(spec);
    }
    for (const auto& spec : expert_specs(apart, "layers.1")) specs.push_back(spec);
    write_tiny_tensors(scratch.path(), specs);
    const ModelFolder folder = ModelFolder::open(scratch.path());
    CHECK(folder.layout.of(0) == ExpertLayout::kFused);
    CHECK(folder.layout.of(1) == ExpertLayout::kPerExpert);
    CHECK_FALSE(folder.layout == ExpertLayout::kFused);
  }
  SECTION("half of a fused pair") {
    std::vector<TensorSpec> specs;
    for (const auto& spec : fused) {
      if (spec.name != "model.layers.0.mlp.experts.gate_up_proj") specs.push_back(spec);
    }
    write_tiny_tensors(scratch.path(), specs);
    CHECK_THAT(refusal(scratch), Contains("'model.layers.0.mlp.experts.gate_up_proj' is missing"));
  }
  SECTION("one expert of a layer is fused as well") {
    auto specs = fused;
    specs.push_back({"model.layers.0.mlp.experts.2.up_proj.weight", Dtype::kBF16, {8, 16}});
    write_tiny_tensors(scratch.path(), specs);
    CHECK_THAT(refusal(scratch), Contains("'model.layers.0.mlp.experts.2.up_proj.weight'"));
  }
}

TEST_CASE("a tied head may be stored when it is the embedding, and not otherwise",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  const Json json = tied("llama");
  write_json(scratch / "config.json", json);
  auto specs = specs_of(json, ExpertLayout::kNone);
  specs.push_back({"lm_head.weight", Dtype::kBF16, {48, 16}});
  const auto write = [&](const std::string& head) {
    TensorWriter writer(scratch.path(), specs);
    for (const TensorSpec& spec : specs) {
      writer.append(spec.name, spec.name == "lm_head.weight"
                                   ? head
                                   : patterned_bytes(spec.name, spec.num_bytes()));
    }
    writer.finish();
  };
  std::string head = patterned_bytes("model.embed_tokens.weight", 48 * 16 * 2);
  write(head);
  CHECK_FALSE(ModelFolder::open(scratch.path()).tensors.contains("lm_head.weight"));
  head.back() ^= 1;
  write(head);
  CHECK_THAT(refusal(scratch),
             Contains("'lm_head.weight' differs") && Contains("tie_word_embeddings"));
}

TEST_CASE("the rotary buffers of old llama files are skipped", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  for (const char* family : {"llama", "qwen3"}) {
    const Json json = tiny_config(family);
    write_json(scratch / "config.json", json);
    auto specs = specs_of(json, ExpertLayout::kNone);
    specs.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", Dtype::kF32, {4}});
    write_tiny_tensors(scratch.path(), specs);
    if (family == std::string("llama")) {
      CHECK_FALSE(ModelFolder::open(scratch.path()).tensors.contains(specs.back().name));
    } else {
      CHECK_THAT(refusal(scratch), Contains("inv_freq"));
    }
  }
}

TEST_CASE("the weights decide on the dtype; most bytes do where they differ",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  Json json = tiny_config("llama");
  auto specs = specs_of(json, ExpertLayout::kNone);
  const auto write_as = [&](Dtype dtype) {
    for (TensorSpec& spec : specs) spec.dtype = dtype;
    write_tiny_tensors(scratch.path(), specs);
  };
  json.erase("dtype");
  write_json(scratch / "config.json", json);
  write_as(Dtype::kF16);
  CHECK(ModelFolder::open(scratch.path()).config.dtype == Dtype::kF16);

  const auto not_built = [&] {
    return message_of<NotBuiltError>([&] { ModelFolder::open(scratch.path()); });
  };
  write_as(Dtype::kF64);
  CHECK_THAT(not_built(), Contains("F64"));
  write_as(Dtype::kBF16);
  specs[2].dtype = Dtype::kF32;
  write_tiny_tensors(scratch.path(), specs);
  const ModelFolder mixed = ModelFolder::open(scratch.path());
  CHECK(mixed.config.dtype == Dtype::kBF16);
  CHECK(mixed.tensors.get(specs[2].name).dtype == Dtype::kF32);
  specs[2].dtype = Dtype::kI64;
  write_tiny_tensors(scratch.path(), specs);
  CHECK_THAT(not_built(), Contains("I64") && Contains(specs[2].name));
}

TEST_CASE("a config that claims far more experts than the folder holds fails at once",
          "[model][checkpoint][hostile]") {
  const TemporaryFolder scratch;
  Json json = tiny_config("qwen3_moe");
  write_tiny_model(scratch.path(), json, ExpertLayout::kPerExpert);
  json.update({{"num_experts", 16384}, {"num_hidden_layers", 4096}});
  write_json(scratch / "config.json", json);
  CHECK_THAT(refusal(scratch),
             Contains("'model.layers.0.mlp.experts.4.gate_proj.weight' is missing"));
}

TEST_CASE("a path that is no model folder is an error that says so", "[model][checkpoint]") {
  const TemporaryFolder scratch;
  CHECK_THAT(message_of<IoError>([&] { ModelFolder::open(scratch / "absent"); }),
             Contains("absent"));
  CHECK_THAT(message_of<IoError>([&] { ModelFolder::open(scratch.path()); }),
             Contains("config.json"));
  scratch.write("config.json", "{");
  CHECK_THAT(refusal(scratch), Contains("config.json"));
  write_json(scratch / "config.json", tiny_config("llama"));
  CHECK_THAT(refusal(scratch), Contains("no safetensors weights"));
}

namespace {

Manifest manifest_for(int64_t base_experts, int64_t base_rows) {
  Manifest manifest;
  manifest.tool_version = "0.1.0";
  manifest.base_tensors_hash = manifest.base_tokenizer_hash = std::string(64, 'a');
  manifest.base_num_experts = base_experts;
  manifest.base_vocab_rows = base_rows;
  manifest.packs = {{"id", base_experts, 4 - base_experts, base_rows, 48 - base_rows}};
  return manifest;
}

}  // namespace

TEST_CASE("a manifest splits base and additions, and may not contradict the config",
          "[model][checkpoint]") {
  const TemporaryFolder scratch;
  write_tiny_model(scratch.path(), tiny_config("qwen3_moe"), ExpertLayout::kPerExpert);
  Manifest manifest = manifest_for(3, 40);
  write_json(scratch / kManifestFile, manifest.to_json());
  const ModelFolder folder = ModelFolder::open(scratch.path());
  CHECK(folder.num_base_experts() == 3);
  CHECK(folder.num_added_experts() == 1);
  CHECK(folder.num_base_vocab_rows() == 40);
  CHECK(folder.num_added_vocab_rows() == 8);

  manifest.packs[0].num_experts = 2;
  write_json(scratch / kManifestFile, manifest.to_json());
  CHECK_THAT(refusal(scratch), Contains(kManifestFile) && Contains("number of experts") &&
                                   Contains("expected: 4") && Contains("found:    5"));
  manifest = manifest_for(3, 40);
  manifest.packs[0].num_vocab_rows = 7;
  write_json(scratch / kManifestFile, manifest.to_json());
  CHECK_THAT(refusal(scratch), Contains("vocabulary rows"));

  write_tiny_model(scratch.path(), tied("qwen3_moe"), ExpertLayout::kPerExpert);
  write_json(scratch / kManifestFile, manifest_for(3, 40).to_json());
  CHECK_THAT(refusal(scratch), Contains("tied"));
}

}  // namespace polygraft::model
