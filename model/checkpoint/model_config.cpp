// model/checkpoint/model_config.cpp: config.json into ModelConfig, checked so that no later size
// computation can overflow. Reference: transformers 5.23, models/*/configuration_*.py.
#include "model/checkpoint/model_config.h"

#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/attention_window.h"
#include "model/checkpoint/families.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/rope_config.h"
#include "model/checkpoint/unsupported_features.h"

namespace polygraft::model {
namespace {

// Far above every model there is, and low enough that a product of three fits into 63 bits.
constexpr int64_t kMostLayers = 1 << 12;
constexpr int64_t kMostHeads = 1 << 14;
constexpr int64_t kMostExperts = 1 << 14;
constexpr int64_t kMostWidth = 1 << 22;
constexpr int64_t kMostVocabRows = 1 << 28;
constexpr double kMostParameters = 1e17;

[[noreturn]] void contradiction(const JsonFields& json, const std::string& problem,
                                const std::string& expected, const std::string& found) {
  throw FormatError(json.file(), problem).expected(expected).found(found);
}

void read_biases(const JsonFields& json, const FamilySwitches& switches, ModelConfig& config) {
  config.mlp_bias = switches.mlp_bias && json.flag_or("mlp_bias", false);
  switch (switches.attention_bias) {
    case BiasRule::kNone:
      return;
    case BiasRule::kSwitched:
      config.qkv_bias = config.output_bias = json.flag_or("attention_bias", false);
      return;
    case BiasRule::kQkv:
      config.qkv_bias = true;
      return;
    case BiasRule::kQkvSwitched:
      config.qkv_bias = json.flag_or("qkv_bias", true);
      return;
  }
}

/// Queries and keys: their norm and their bound.
void read_qk_rules(const JsonFields& json, const FamilySwitches& switches, ModelConfig& config) {
  config.qk_norm = switches.qk_norm;
  if (config.qk_norm == QkNorm::kAllHeads &&
      config.num_heads * config.head_dim != config.hidden_size) {
    contradiction(json, "the norm of all query heads does not fit them",
                  concat("num_attention_heads * head_dim = hidden_size, ", config.hidden_size),
                  concat(config.num_heads, " * ", config.head_dim));
  }
  if (!switches.clip_qkv || !json.has("clip_qkv")) return;
  config.clip_qkv = json.number("clip_qkv");
  if (config.clip_qkv <= 0) {
    contradiction(json, "key 'clip_qkv' cannot be used", "a number above zero, or null",
                  concat(config.clip_qkv));
  }
}

void read_attention(const JsonFields& json, const Family& family, ModelConfig& config) {
  config.num_heads = json.integer("num_attention_heads", 1, kMostHeads);
  // An explicit null means "as many as query heads"; silence means the family's default.
  const int64_t silent = json.states_null("num_key_value_heads") ? 0 : family.defaults.num_kv_heads;
  const int64_t kv_default = silent > 0 ? silent : config.num_heads;
  config.num_kv_heads = json.integer_or("num_key_value_heads", kv_default, 1, kMostHeads);
  if (config.num_heads % config.num_kv_heads != 0) {
    contradiction(json, "num_attention_heads is no multiple of num_key_value_heads",
                  "each key head to serve as many query heads",
                  concat(config.num_heads, " and ", config.num_kv_heads));
  }
  const int64_t head_default = family.defaults.head_dim > 0 ? family.defaults.head_dim
                                                            : config.hidden_size / config.num_heads;
  config.head_dim = json.integer_or("head_dim", head_default, 1, kMostWidth);
  if (config.head_dim < 2 || config.head_dim % 2 != 0) {
    contradiction(json, "head_dim cannot be rotated in pairs", "an even head_dim",
                  concat(config.head_dim));
  }
  read_biases(json, family.switches, config);
  read_qk_rules(json, family.switches, config);
  config.layer_window = read_windows(json, family, config.num_layers);
}

int64_t read_num_experts(const JsonFields& json, int64_t fallback) {
  const int64_t num_experts = json.integer_or("num_experts", fallback, 0, kMostExperts);
  const int64_t num_local = json.integer_or("num_local_experts", num_experts, 0, kMostExperts);
  if (json.has("num_experts") && num_experts != num_local) {
    contradiction(json, "keys 'num_experts' and 'num_local_experts' contradict each other",
                  "the same number, or one of them alone", concat(num_experts, " and ", num_local));
  }
  return num_local;
}

/// transformers: Qwen3MoeDecoderLayer.__init__.
std::vector<bool> read_moe_layers(const JsonFields& json, int64_t num_layers, int64_t num_experts) {
  const int64_t step = json.integer_or("decoder_sparse_step", 1, 1, kMostLayers);
  std::vector<bool> is_moe;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    is_moe.push_back(num_experts > 0 && (layer + 1) % step == 0);
  }
  if (!json.has("mlp_only_layers")) return is_moe;
  const Json& dense_layers = json.raw("mlp_only_layers");
  const bool good = dense_layers.is_array() &&
                    std::all_of(dense_layers.begin(), dense_layers.end(), [&](auto& layer) {
                      return layer.is_number_integer() && layer.template get<int64_t>() >= 0 &&
                             layer.template get<int64_t>() < num_layers;
                    });
  if (!good) {
    contradiction(json, "key 'mlp_only_layers' cannot be used",
                  concat("a list of layers from 0 to ", num_layers - 1),
                  json_excerpt(dense_layers));
  }
  for (const Json& layer : dense_layers) is_moe[layer.get<size_t>()] = false;
  return is_moe;
}

void read_experts(const JsonFields& json, const Family& family, ModelConfig& config) {
  const FamilySwitches& switches = family.switches;
  if (!switches.moe) {
    config.layer_is_moe.assign(static_cast<size_t>(config.num_layers), false);
    return;
  }
  config.num_experts = read_num_experts(json, family.defaults.num_experts);
  config.layer_is_moe.assign(static_cast<size_t>(config.num_layers), config.num_experts > 0);
  if (switches.dense_layers) {
    config.layer_is_moe = read_moe_layers(json, config.num_layers, config.num_experts);
  } else if (!config.is_moe()) {
    contradiction(json, "the family has no layers without experts", "at least one expert", "0");
  }
  if (!config.is_moe()) return;
  config.top_k = json.integer_or("num_experts_per_tok", family.defaults.top_k, 1, kMostExperts);
  config.expert_width =
      json.integer_or(switches.expert_width_key, family.defaults.expert_width, 1, kMostWidth);
  config.renormalize_top_k = switches.always_renormalized || json.flag_or("norm_topk_prob", false);
  if (switches.shared_expert) {
    config.shared_expert_width = json.integer_or(
        "shared_expert_intermediate_size", family.defaults.shared_expert_width, 1, kMostWidth);
  }
  if (config.top_k > config.num_experts) {
    contradiction(json, "num_experts_per_tok is larger than the number of experts",
                  concat("at most ", config.num_experts), concat(config.top_k));
  }
}

void read_dense_width(const JsonFields& json, ModelConfig& config) {
  const auto& is_moe = config.layer_is_moe;
  const bool needed = std::find(is_moe.begin(), is_moe.end(), false) != is_moe.end();
  config.dense_width = needed ? json.integer("intermediate_size", 1, kMostWidth)
                              : json.integer_or("intermediate_size", 0, 0, kMostWidth);
}

/// float32 where the config is silent, as transformers has it.
Dtype read_dtype(const JsonFields& json) {
  const std::string name = json.text_or("dtype", json.text_or("torch_dtype", "float32"));
  const Dtype dtype = parse_torch_dtype(name, json.file());
  if (dtype == Dtype::kF32 || dtype == Dtype::kF16 || dtype == Dtype::kBF16) return dtype;
  throw NotBuiltError(concat("weights of type ", name))
      .expected("one of float32, float16, bfloat16")
      .found(concat(in_quotes(name), " in ", json.file().string()));
}

void refuse_absurd_size(const JsonFields& json, const ModelConfig& config) {
  const auto num = [](int64_t value) { return static_cast<double>(value); };
  const double per_expert = 3 * num(config.expert_width) * num(config.hidden_size);
  const double shared = 3 * num(config.shared_expert_width) * num(config.hidden_size);
  const double per_dense = 3 * num(config.dense_width) * num(config.hidden_size);
  const double attention =
      4 * num(config.num_heads) * num(config.head_dim) * num(config.hidden_size);
  const double layers =
      num(config.num_layers) * (num(config.num_experts) * (per_expert + num(config.hidden_size)) +
                                shared + per_dense + attention);
  const double total = layers + 2 * num(config.vocab_rows) * num(config.hidden_size);
  if (total < kMostParameters) return;
  contradiction(json, "the config describes a model that cannot exist",
                "fewer than 1e17 parameters", concat(total));
}

}  // namespace

ModelConfig parse_model_config(const Json& config_json, const fs::path& file) {
  const JsonFields json(config_json, file);
  const Family& family = find_family(json.text("model_type"));
  refuse_unsupported_features(json, family);
  ModelConfig config;
  config.family = family.model_type;
  config.num_layers = json.integer("num_hidden_layers", 1, kMostLayers);
  config.hidden_size = json.integer("hidden_size", 1, kMostWidth);
  config.vocab_rows = json.integer("vocab_size", 1, kMostVocabRows);
  config.max_positions = json.integer("max_position_embeddings", 1, kMostPositions);
  read_attention(json, family, config);
  read_experts(json, family, config);
  read_dense_width(json, config);
  config.rms_norm_eps = json.number_or("rms_norm_eps", family.defaults.rms_norm_eps);
  if (config.rms_norm_eps <= 0) {
    contradiction(json, "key 'rms_norm_eps' cannot be used", "a number above zero",
                  concat(config.rms_norm_eps));
  }
  config.tied_embeddings = json.flag_or("tie_word_embeddings", family.defaults.tied_embeddings);
  config.rope = parse_rope(json, family.defaults.rope_theta);
  config.dtype = read_dtype(json);
  refuse_absurd_size(json, config);
  return config;
}

}  // namespace polygraft::model
