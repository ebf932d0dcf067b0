// tests/model/checkpoint/model_config_test.cpp: config.json as transformers 4 and 5 write it, and
// what is refused.
#include "model/checkpoint/model_config.h"

#include "core/json.h"
#include "fixtures.h"

using Catch::Contains;

namespace polygraft::model {
namespace {

ModelConfig parse(const Json& json) { return parse_model_config(json, "dir/config.json"); }

Json with(const std::string& family, const Json& changes) {
  Json json = tiny_config(family);
  json.update(changes);
  return json;
}

Json without(const std::string& family, const std::string& key) {
  Json json = tiny_config(family);
  json.erase(key);
  return json;
}

template <class E>
std::string refusal(const Json& json) {
  return message_of<E>([&] { parse(json); });
}

}  // namespace

TEST_CASE("a qwen3_moe config as transformers 5.23 saves it", "[model][checkpoint]") {
  const ModelConfig config = parse(Json::parse(R"({
    "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
    "bos_token_id": null, "decoder_sparse_step": 1, "dtype": "bfloat16", "eos_token_id": null,
    "head_dim": 8, "hidden_act": "silu", "hidden_size": 16, "initializer_range": 0.02,
    "intermediate_size": 24, "max_position_embeddings": 64, "mlp_only_layers": [],
    "model_type": "qwen3_moe", "moe_intermediate_size": 12, "norm_topk_prob": true,
    "num_attention_heads": 4, "num_experts_per_tok": 2, "num_hidden_layers": 3,
    "num_key_value_heads": 2, "num_local_experts": 6, "output_router_logits": false,
    "pad_token_id": null, "rms_norm_eps": 1e-05, "rope_parameters": {"rope_theta": 1000000.0,
    "rope_type": "default"}, "router_aux_loss_coef": 0.001, "sliding_window": null,
    "tie_word_embeddings": true, "transformers_version": "5.23.0", "use_cache": true,
    "use_sliding_window": false, "vocab_size": 48})"));
  CHECK(config.family == "qwen3_moe");
  CHECK(config.num_layers == 3);
  CHECK(config.hidden_size == 16);
  CHECK(config.num_heads == 4);
  CHECK(config.num_kv_heads == 2);
  CHECK(config.head_dim == 8);
  CHECK(config.vocab_rows == 48);
  CHECK(config.dense_width == 24);
  CHECK(config.expert_width == 12);
  CHECK(config.num_experts == 6);
  CHECK(config.top_k == 2);
  CHECK(config.renormalize_top_k);
  CHECK(config.layer_is_moe == std::vector<bool>{true, true, true});
  CHECK(config.rms_norm_eps == 1e-5);
  CHECK(config.qk_norm == QkNorm::kPerHead);
  CHECK_FALSE(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK_FALSE(config.mlp_bias);
  CHECK(config.tied_embeddings);
  CHECK(config.max_positions == 64);
  CHECK(config.rope.theta == 1e6);
  CHECK(config.dtype == Dtype::kBF16);
}

TEST_CASE("a qwen3_moe config in the manner of transformers 4", "[model][checkpoint]") {
  const ModelConfig config = parse(with("qwen3_moe", {{"torch_dtype", "float16"},
                                                      {"dtype", nullptr},
                                                      {"rope_theta", 1e6},
                                                      {"rope_scaling", nullptr},
                                                      {"sliding_window", 4096},
                                                      {"use_sliding_window", false},
                                                      {"max_window_layers", 2}}));
  CHECK(config.dtype == Dtype::kF16);
  CHECK(config.rope.theta == 1e6);
  CHECK(config.rope.type == "default");
  CHECK(config.num_experts == 4);
  CHECK_FALSE(config.renormalize_top_k);
}

TEST_CASE("what an olmoe config says that others do not", "[model][checkpoint]") {
  Json json = with("olmoe", {{"num_experts", 4}, {"num_experts_per_tok", 2}, {"head_dim", 4}});
  const ModelConfig config = parse(json);
  CHECK(config.qk_norm == QkNorm::kAllHeads);
  CHECK(config.expert_width == 24);  // intermediate_size
  CHECK(config.clip_qkv == 0);
  CHECK_FALSE(config.renormalize_top_k);
  json["clip_qkv"] = 8;
  CHECK(parse(json).clip_qkv == 8);
  json["clip_qkv"] = 0;
  CHECK_THAT(refusal<FormatError>(json), Contains("clip_qkv"));
  json["clip_qkv"] = nullptr;
  json["head_dim"] = 8;
  CHECK_THAT(refusal<FormatError>(json), Contains("hidden_size, 16") && Contains("4 * 8"));
  CHECK_THAT(refusal<FormatError>(with("olmoe", {{"num_experts", 0}, {"head_dim", 4}})),
             Contains("without experts"));
}

TEST_CASE("a mixtral config renormalises whatever it says", "[model][checkpoint]") {
  const ModelConfig config = parse(with("mixtral", {{"norm_topk_prob", false}}));
  CHECK(config.renormalize_top_k);
  CHECK(config.num_experts == 8);  // the class's default
  CHECK(config.rope.theta == 1e6);
  CHECK(config.layer_window.empty());
  CHECK(parse(with("mixtral", {{"num_local_experts", 4}})).num_experts == 4);
  CHECK(parse(with("mixtral", {{"sliding_window", 5}})).layer_window == std::vector<int64_t>{5, 5});
}

TEST_CASE("a qwen2_moe config has a shared expert and biases unless told otherwise",
          "[model][checkpoint]") {
  const ModelConfig config = parse(with("qwen2_moe", {{"num_experts", 4}}));
  CHECK(config.shared_expert_width == 5632);
  CHECK(config.qkv_bias);
  CHECK_FALSE(config.output_bias);
  CHECK_FALSE(config.renormalize_top_k);
  CHECK(parse(with("qwen2_moe", {{"shared_expert_intermediate_size", 12}})).shared_expert_width ==
        12);
  CHECK_FALSE(parse(with("qwen2_moe", {{"qkv_bias", false}})).qkv_bias);
  CHECK(parse(with("qwen2_moe", {{"decoder_sparse_step", 2}})).layer_is_moe ==
        std::vector<bool>{false, true});
}

TEST_CASE("silence means the family's own default", "[model][checkpoint]") {
  CHECK(parse(without("llama", "num_key_value_heads")).num_kv_heads == 4);
  CHECK(parse(with("qwen3", {{"num_key_value_heads", nullptr}})).num_kv_heads == 4);
  CHECK(parse(without("llama", "head_dim")).head_dim == 4);    // 16 / 4
  CHECK(parse(without("qwen3", "head_dim")).head_dim == 128);  // a constant of the class
  CHECK(parse(without("qwen3_moe", "head_dim")).head_dim == 4);
  CHECK(parse(without("llama", "rms_norm_eps")).rms_norm_eps == 1e-6);
  CHECK(parse(without("llama", "dtype")).dtype == Dtype::kF32);
  for (const char* family : {"llama", "qwen3", "qwen3_moe"}) {
    CHECK_FALSE(parse(without(family, "tie_word_embeddings")).tied_embeddings);
    CHECK(parse(tiny_config(family)).rope.theta == 10000.0);
  }
}

TEST_CASE("biases are honoured where the family has them", "[model][checkpoint]") {
  const Json biases = {{"attention_bias", true}, {"mlp_bias", true}};
  CHECK(parse(with("llama", biases)).qkv_bias);
  CHECK(parse(with("llama", biases)).output_bias);
  CHECK(parse(with("llama", biases)).mlp_bias);
  CHECK(parse(with("qwen3", biases)).qkv_bias);
  CHECK_FALSE(parse(with("qwen3", biases)).mlp_bias);  // Qwen3MLP has no such switch
  CHECK_FALSE(parse(tiny_config("llama")).qkv_bias);
  CHECK(parse(tiny_config("qwen2")).qkv_bias);  // always, and never on the output
  CHECK_FALSE(parse(with("qwen2", biases)).output_bias);
}

TEST_CASE("which layers are sparse", "[model][checkpoint]") {
  const auto layers = [](const Json& changes) {
    return parse(with("qwen3_moe", changes)).layer_is_moe;
  };
  CHECK(layers({{"num_hidden_layers", 5}, {"decoder_sparse_step", 2}}) ==
        std::vector<bool>{false, true, false, true, false});
  CHECK(layers({{"num_hidden_layers", 3}, {"mlp_only_layers", {0, 2}}}) ==
        std::vector<bool>{false, true, false});
  CHECK(layers({{"num_experts", 0}}) == std::vector<bool>{false, false});
  CHECK(parse(tiny_config("llama")).layer_is_moe == std::vector<bool>{false, false});
  for (const Json& bad : {Json({2}), Json({-1}), Json({"0"}), Json(1), Json({0.5})}) {
    CHECK_THAT(refusal<FormatError>(with("qwen3_moe", {{"mlp_only_layers", bad}})),
               Contains("mlp_only_layers") && Contains("0 to 1"));
  }
}

TEST_CASE("both names of the expert count are read, and may not contradict",
          "[model][checkpoint]") {
  Json json = without("qwen3_moe", "num_experts");
  json["num_local_experts"] = 6;
  CHECK(parse(json).num_experts == 6);
  json["num_experts"] = 6;
  CHECK(parse(json).num_experts == 6);
  json["num_experts"] = 7;
  CHECK_THAT(refusal<FormatError>(json), Contains("num_local_experts") && Contains("7 and 6"));
}

TEST_CASE("what we do not compute is refused by name", "[model][checkpoint]") {
  const auto refused = [](const std::string& family, const Json& changes) {
    const std::string message = refusal<NotBuiltError>(with(family, changes));
    CHECK_THAT(message, Contains("config.json"));
    return message;
  };
  CHECK_THAT(refused("gpt2", Json::object()),
             Contains("'gpt2'") && Contains("llama, qwen3, qwen3_moe"));
  CHECK_THAT(refused("llama", {{"quantization_config", {{"quant_method", "gptq"}}}}),
             Contains("quantised") && Contains("gptq"));
  CHECK_THAT(refused("llama", {{"hidden_act", "gelu"}}), Contains("'gelu'"));
  CHECK_THAT(refused("llama", {{"architectures", {"LlamaForSequenceClassification"}}}),
             Contains("LlamaForCausalLM"));
  CHECK_THAT(refused("qwen3", {{"layer_types", {"full_attention", "linear_attention"}}}),
             Contains("linear_attention"));
  CHECK_THAT(refused("llama", {{"partial_rotary_factor", 0.5}}), Contains("partial_rotary_factor"));
  CHECK_THAT(refused("llama", {{"dtype", "float64"}}), Contains("float64"));
}

TEST_CASE("which layers look back no further than a window", "[model][checkpoint]") {
  using Windows = std::vector<int64_t>;
  const auto windows = [](const std::string& family, Json changes) {
    changes["num_hidden_layers"] = 4;
    return parse(with(family, changes)).layer_window;
  };
  const Json on = {{"use_sliding_window", true}, {"sliding_window", 7}, {"max_window_layers", 3}};
  const Json types = {"sliding_attention", "full_attention", "full_attention", "sliding_attention"};
  CHECK(windows("qwen3", on) == Windows{0, 0, 0, 7});
  CHECK(windows("qwen3", {{"use_sliding_window", true}, {"max_window_layers", 0}}) ==
        Windows{4096, 4096, 4096, 4096});
  CHECK(windows("qwen3", {{"use_sliding_window", true}, {"layer_types", types}}) ==
        Windows{4096, 0, 0, 4096});
  CHECK(windows("qwen3", {{"sliding_window", 7}, {"max_window_layers", 0}}).empty());
  CHECK(windows("qwen3_moe", on) == Windows{7, 7, 7, 7});
  CHECK(windows("qwen2", on) == Windows{0, 0, 0, 7});
  CHECK(windows("qwen2_moe", on) == Windows{7, 0, 7, 0});
  CHECK(windows("llama", on).empty());  // LlamaConfig has none
  for (const char* family : {"qwen3", "qwen3_moe", "llama"}) {
    CHECK_THAT(
        refusal<FormatError>(with(family, {{"num_hidden_layers", 4}, {"layer_types", types}})),
        Contains("layer_types") && Contains("sliding_attention"));
  }
  CHECK_THAT(
      refusal<FormatError>(with("qwen3", {{"use_sliding_window", true}, {"sliding_window", 0}})),
      Contains("sliding_window"));
}

TEST_CASE("features that are named but off are accepted", "[model][checkpoint]") {
  CHECK_NOTHROW(parse(with("qwen3", {{"use_sliding_window", true}, {"sliding_window", nullptr}})));
  CHECK_NOTHROW(parse(with("qwen3", {{"layer_types", {"full_attention", "full_attention"}}})));
  CHECK_NOTHROW(parse(with("llama", {{"quantization_config", nullptr}})));
  CHECK_NOTHROW(parse(with("llama", {{"architectures", {"LlamaForCausalLM"}}})));
  CHECK_NOTHROW(parse(with("llama", {{"partial_rotary_factor", 1.0}})));
  CHECK_NOTHROW(parse(with("llama", {{"sliding_window", 4096}})));  // LlamaConfig has none
}

TEST_CASE("missing keys are named", "[model][checkpoint]") {
  for (const char* key : {"model_type", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "vocab_size", "intermediate_size", "max_position_embeddings"}) {
    CHECK_THAT(refusal<FormatError>(without("llama", key)),
               Contains(key) && Contains("missing") && Contains("dir/config.json"));
  }
  CHECK_NOTHROW(parse(without("qwen3_moe", "intermediate_size")));  // no dense layer needs it
  CHECK_THROWS_AS(parse(Json::array()), FormatError);
}

TEST_CASE("values of another type or out of range are named", "[model][checkpoint]") {
  const std::vector<std::pair<std::string, Json>> corpus = {
      {"hidden_size", 0},
      {"hidden_size", -16},
      {"hidden_size", 16.5},
      {"hidden_size", "16"},
      {"hidden_size", true},
      {"hidden_size", UINT64_MAX},
      {"num_hidden_layers", 1e9},
      {"num_hidden_layers", 100000},
      {"vocab_size", INT64_MAX},
      {"num_attention_heads", 3},
      {"num_key_value_heads", 3},
      {"head_dim", 7},
      {"num_experts", -1},
      {"num_experts", 1 << 20},
      {"num_experts_per_tok", 5},
      {"num_experts_per_tok", 0},
      {"rms_norm_eps", 0},
      {"rms_norm_eps", "1e-6"},
      {"tie_word_embeddings", 1},
      {"norm_topk_prob", "yes"},
      {"dtype", "int4"},
      {"decoder_sparse_step", 0},
      {"layer_types", "full"},
      {"hidden_act", 3},
      {"layer_types", Json::array({"full_attention"})},
      {"model_type", 1},
  };
  for (const auto& [key, value] : corpus) {
    INFO(key << " = " << value);
    const std::string message = refusal<FormatError>(with("qwen3_moe", {{key, value}}));
    CHECK_THAT(message, Contains("dir/config.json"));
  }
}

TEST_CASE("a config whose sizes multiply beyond all reason is refused", "[model][checkpoint]") {
  CHECK_THAT(refusal<FormatError>(with("qwen3_moe", {{"num_hidden_layers", 4096},
                                                     {"num_experts", 16384},
                                                     {"moe_intermediate_size", 1 << 22},
                                                     {"hidden_size", 1 << 22}})),
             Contains("cannot exist"));
}

}  // namespace polygraft::model
