// tests/model/checkpoint/families_test.cpp: name templates, the order of tensors, and parameter
// counts of released models.
#include "model/checkpoint/families.h"

#include "core/json.h"
#include "fixtures.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

std::vector<std::string> names_of(const Json& json, ExpertLayout layout) {
  std::vector<std::string> names;
  for (const auto& spec : expected_tensors(parse_model_config(json, "config.json"), layout)) {
    names.push_back(spec.name + " " + shape_text(spec.shape));
  }
  return names;
}

}  // namespace

TEST_CASE("placeholders are filled", "[model][checkpoint]") {
  CHECK(fill("model.layers.{layer}.mlp.experts.{expert}.up_proj.weight", 3, 17) ==
        "model.layers.3.mlp.experts.17.up_proj.weight");
  CHECK(fill("model.layers.{layer}.mlp.gate.weight", 12) == "model.layers.12.mlp.gate.weight");
  CHECK(fill("lm_head.weight", 3, 17) == "lm_head.weight");
}

TEST_CASE("families are found by model_type", "[model][checkpoint]") {
  CHECK(supported_families() == std::vector<std::string>{"llama", "qwen3", "qwen3_moe", "qwen2",
                                                         "olmoe", "mixtral", "qwen2_moe"});
  CHECK(find_family("qwen3_moe").architecture == "Qwen3MoeForCausalLM");
  CHECK(find_family("qwen3_moe").switches.moe);
  CHECK_FALSE(find_family("qwen3").switches.moe);
  CHECK_THAT(message_of<NotBuiltError>([] { find_family("gpt2"); }), Contains("'gpt2'"));
}

TEST_CASE("the tensors of a fused qwen3_moe, in the order of transformers' state_dict",
          "[model][checkpoint]") {
  Json json = tiny_config("qwen3_moe");
  json.update({{"num_hidden_layers", 1}, {"attention_bias", true}});
  // list(Qwen3MoeForCausalLM(config).state_dict()) of transformers 5.23.
  CHECK(names_of(json, ExpertLayout::kFused) ==
        std::vector<std::string>{
            "model.embed_tokens.weight [48, 16]", "model.layers.0.self_attn.q_proj.weight [32, 16]",
            "model.layers.0.self_attn.q_proj.bias [32]",
            "model.layers.0.self_attn.k_proj.weight [16, 16]",
            "model.layers.0.self_attn.k_proj.bias [16]",
            "model.layers.0.self_attn.v_proj.weight [16, 16]",
            "model.layers.0.self_attn.v_proj.bias [16]",
            "model.layers.0.self_attn.o_proj.weight [16, 32]",
            "model.layers.0.self_attn.o_proj.bias [16]",
            "model.layers.0.self_attn.q_norm.weight [8]",
            "model.layers.0.self_attn.k_norm.weight [8]",
            "model.layers.0.mlp.experts.gate_up_proj [4, 16, 16]",
            "model.layers.0.mlp.experts.down_proj [4, 16, 8]",
            "model.layers.0.mlp.gate.weight [4, 16]", "model.layers.0.input_layernorm.weight [16]",
            "model.layers.0.post_attention_layernorm.weight [16]", "model.norm.weight [16]",
            "lm_head.weight [48, 16]"});
}

TEST_CASE("the tensors of a tied llama with every bias", "[model][checkpoint]") {
  Json json = tiny_config("llama");
  json.update({{"num_hidden_layers", 1},
               {"attention_bias", true},
               {"mlp_bias", true},
               {"tie_word_embeddings", true}});
  CHECK(names_of(json, ExpertLayout::kNone) ==
        std::vector<std::string>{
            "model.embed_tokens.weight [48, 16]", "model.layers.0.self_attn.q_proj.weight [32, 16]",
            "model.layers.0.self_attn.q_proj.bias [32]",
            "model.layers.0.self_attn.k_proj.weight [16, 16]",
            "model.layers.0.self_attn.k_proj.bias [16]",
            "model.layers.0.self_attn.v_proj.weight [16, 16]",
            "model.layers.0.self_attn.v_proj.bias [16]",
            "model.layers.0.self_attn.o_proj.weight [16, 32]",
            "model.layers.0.self_attn.o_proj.bias [16]",
            "model.layers.0.mlp.gate_proj.weight [24, 16]",
            "model.layers.0.mlp.gate_proj.bias [24]", "model.layers.0.mlp.up_proj.weight [24, 16]",
            "model.layers.0.mlp.up_proj.bias [24]", "model.layers.0.mlp.down_proj.weight [16, 24]",
            "model.layers.0.mlp.down_proj.bias [16]", "model.layers.0.input_layernorm.weight [16]",
            "model.layers.0.post_attention_layernorm.weight [16]", "model.norm.weight [16]"});
}

TEST_CASE("one tensor per expert, beside a dense layer", "[model][checkpoint]") {
  Json json = tiny_config("qwen3_moe");
  json["mlp_only_layers"] = {0};
  const auto names = names_of(json, ExpertLayout::kPerExpert);
  const auto has = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(has("model.layers.0.mlp.gate_proj.weight [24, 16]"));
  CHECK_FALSE(has("model.layers.0.mlp.gate.weight [4, 16]"));
  CHECK(has("model.layers.1.mlp.gate.weight [4, 16]"));
  CHECK(has("model.layers.1.mlp.experts.3.gate_proj.weight [8, 16]"));
  CHECK(has("model.layers.1.mlp.experts.3.down_proj.weight [16, 8]"));
  CHECK_FALSE(has("model.layers.1.mlp.experts.4.down_proj.weight [16, 8]"));
  CHECK(names.size() == 1 + (6 + 3 + 2) + (6 + 3 * 4 + 1 + 2) + 2);
}

TEST_CASE("mixtral's experts have names of their own until they are fused", "[model][checkpoint]") {
  Json json = tiny_config("mixtral");
  json.update({{"num_hidden_layers", 1}, {"num_local_experts", 2}});
  const auto has = [&](ExpertLayout layout, const std::string& name) {
    const auto names = names_of(json, layout);
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  CHECK(has(ExpertLayout::kPerExpert, "model.layers.0.block_sparse_moe.gate.weight [2, 16]"));
  CHECK(has(ExpertLayout::kPerExpert,
            "model.layers.0.block_sparse_moe.experts.1.w2.weight [16, 24]"));
  CHECK(has(ExpertLayout::kFused, "model.layers.0.mlp.gate.weight [2, 16]"));
  CHECK(has(ExpertLayout::kFused, "model.layers.0.mlp.experts.gate_up_proj [2, 48, 16]"));
}

TEST_CASE("parameter counts of released models", "[model][checkpoint]") {
  const auto count = [](const Json& changes) {
    Json json = tiny_config("qwen3_moe");
    json.update({{"head_dim", 128}, {"vocab_size", 151936}, {"num_experts_per_tok", 8}});
    json.update(changes);
    return count_parameters(parse_model_config(json, "config.json"));
  };
  // Marco-MoE-Nano, 8B total and 0.6B active (arXiv 2604.25578).
  const ParameterCount nano = count({{"hidden_size", 1024},
                                     {"num_hidden_layers", 28},
                                     {"num_attention_heads", 16},
                                     {"num_key_value_heads", 8},
                                     {"intermediate_size", 3072},
                                     {"num_experts", 232},
                                     {"moe_intermediate_size", 384},
                                     {"tie_word_embeddings", true}});
  CHECK(static_cast<double>(nano.total) == Approx(8.0e9).epsilon(0.01));
  CHECK(static_cast<double>(nano.active_per_token) == Approx(0.6e9).epsilon(0.01));
  // Its larger sister: 17.3B and 0.86B.
  const ParameterCount mini = count({{"hidden_size", 1024},
                                     {"num_hidden_layers", 28},
                                     {"num_attention_heads", 16},
                                     {"num_key_value_heads", 8},
                                     {"num_experts", 256},
                                     {"moe_intermediate_size", 768},
                                     {"tie_word_embeddings", true}});
  CHECK(static_cast<double>(mini.total) == Approx(17.3e9).epsilon(0.01));
  CHECK(static_cast<double>(mini.active_per_token) == Approx(0.86e9).epsilon(0.01));
  // OLMoE-1B-7B: 6.9B and 1.3B.
  const auto count_of = [](const std::string& family, const Json& changes) {
    Json json = tiny_config(family);
    json.erase("head_dim");
    json.update(changes);
    return count_parameters(parse_model_config(json, "config.json"));
  };
  const ParameterCount olmoe = count_of("olmoe", {{"hidden_size", 2048},
                                                  {"num_hidden_layers", 16},
                                                  {"num_attention_heads", 16},
                                                  {"num_key_value_heads", 16},
                                                  {"intermediate_size", 1024},
                                                  {"num_experts", 64},
                                                  {"num_experts_per_tok", 8},
                                                  {"vocab_size", 50304}});
  CHECK(static_cast<double>(olmoe.total) == Approx(6.92e9).epsilon(0.005));
  CHECK(static_cast<double>(olmoe.active_per_token) == Approx(1.28e9).epsilon(0.005));
  // Mixtral-8x7B: 46.7B and 12.9B.
  const ParameterCount mixtral = count_of("mixtral", {{"hidden_size", 4096},
                                                      {"num_hidden_layers", 32},
                                                      {"num_attention_heads", 32},
                                                      {"num_key_value_heads", 8},
                                                      {"intermediate_size", 14336},
                                                      {"num_local_experts", 8},
                                                      {"num_experts_per_tok", 2},
                                                      {"vocab_size", 32000}});
  CHECK(static_cast<double>(mixtral.total) == Approx(46.7e9).epsilon(0.001));
  CHECK(static_cast<double>(mixtral.active_per_token) == Approx(12.88e9).epsilon(0.001));
  // Qwen1.5-MoE-A2.7B: 14.3B and 2.7B.
  const ParameterCount qwen2 = count_of("qwen2_moe", {{"hidden_size", 2048},
                                                      {"num_hidden_layers", 24},
                                                      {"num_attention_heads", 16},
                                                      {"num_key_value_heads", 16},
                                                      {"moe_intermediate_size", 1408},
                                                      {"shared_expert_intermediate_size", 5632},
                                                      {"num_experts", 60},
                                                      {"num_experts_per_tok", 4},
                                                      {"vocab_size", 151936}});
  CHECK(static_cast<double>(qwen2.total) == Approx(14.3e9).epsilon(0.003));
  CHECK(static_cast<double>(qwen2.active_per_token) == Approx(2.69e9).epsilon(0.005));
  // Qwen3-30B-A3B: 30.5B and 3.3B.
  const ParameterCount qwen = count({{"hidden_size", 2048},
                                     {"num_hidden_layers", 48},
                                     {"num_attention_heads", 32},
                                     {"num_key_value_heads", 4},
                                     {"num_experts", 128},
                                     {"moe_intermediate_size", 768}});
  CHECK(static_cast<double>(qwen.total) == Approx(30.5e9).epsilon(0.005));
  CHECK(static_cast<double>(qwen.active_per_token) == Approx(3.35e9).epsilon(0.005));
}

TEST_CASE("every parameter of a dense model is active", "[model][checkpoint]") {
  const ModelConfig untied = parse_model_config(tiny_config("llama"), "config.json");
  const ParameterCount count = count_parameters(untied);
  // Tables 2 x 48 x 16; a layer: q and o 2 x 32 x 16, k and v 2 x 16 x 16, feed-forward 3 x 24 x
  // 16, norms 2 x 16.
  CHECK(count.total == 2 * 768 + 2 * (1024 + 512 + 1152 + 32) + 16);
  CHECK(count.active_per_token == count.total);
}

}  // namespace polygraft::model
