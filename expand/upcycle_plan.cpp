// expand/upcycle_plan.cpp: which family the experts go to, its config.json, and whether the
// function is kept.
#include <array>
#include <utility>

#include "core/config_json.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/upcycle.h"

namespace polygraft::expand {
namespace {

using model::Family;
using model::ModelConfig;
using model::ModelFolder;

constexpr int64_t kMostInLayer = 1 << 14;  // as config.json may state (model_config.cpp)

/// Families with the same attention, one with an FFN, one with experts.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kMoeFamilyOf = {
    {{"qwen3", "qwen3_moe"}, {"llama", "mixtral"}}};

const Family& moe_family_of(const ModelFolder& dense) {
  std::vector<std::string> known;
  for (const auto& [from, to] : kMoeFamilyOf) {
    if (dense.config.family == from) return model::find_family(std::string(to));
    known.emplace_back(from);
  }
  throw NotBuiltError(concat("upcycling the family '", dense.config.family, "'"))
      .expected("one of " + join(known, ", "))
      .found(dense.path.string());
}

void set_missing(OrderedJson& json, const std::string& key, const OrderedJson& value) {
  if (!json.contains(key) || json[key].is_null()) json[key] = value;
}

/// Families differ in what a missing key means, so what both read is stated.
void state_shared_keys(const ModelConfig& dense, OrderedJson& json) {
  set_missing(json, "num_key_value_heads", dense.num_kv_heads);
  set_missing(json, "head_dim", dense.head_dim);
  set_missing(json, "rms_norm_eps", dense.rms_norm_eps);
  if (!json.contains("rope_parameters")) set_missing(json, "rope_theta", dense.rope.theta);
  json["tie_word_embeddings"] = dense.tied_embeddings;
}

OrderedJson moe_config_json(const ModelFolder& dense, const Family& family,
                            const UpcycleConfig& config) {
  OrderedJson json = *dense.config_json;
  json["model_type"] = family.model_type;
  json["architectures"] = {family.architecture};
  state_shared_keys(dense.config, json);
  json[family.switches.num_experts_key] = config.slices * config.copies;
  json["num_experts_per_tok"] = config.top_k;
  json[family.switches.expert_width_key] = dense.config.dense_width / config.slices;
  if (!family.switches.always_renormalized) json["norm_topk_prob"] = true;
  if (family.switches.dense_layers) {
    json["decoder_sparse_step"] = 1;
    json["mlp_only_layers"] = OrderedJson::array();
  }
  // A llama file may state a window that its family ignores; a window in use is refused below.
  if (family.switches.window == model::WindowRule::kEveryLayer) json["sliding_window"] = nullptr;
  return json;
}

/// What the two models have in common must be read as the same, or the family cannot hold it.
void require_same_outside_ffn(const ModelFolder& dense, const ModelConfig& moe) {
  const ModelConfig& from = dense.config;
  const std::vector<std::pair<const char*, bool>> same = {
      {"attention shapes", from.num_heads == moe.num_heads &&
                               from.num_kv_heads == moe.num_kv_heads &&
                               from.head_dim == moe.head_dim},
      {"vocabulary and width",
       from.vocab_rows == moe.vocab_rows && from.hidden_size == moe.hidden_size},
      {"query and key norms", from.qk_norm == moe.qk_norm},
      {"attention biases", from.qkv_bias == moe.qkv_bias && from.output_bias == moe.output_bias},
      {"FFN biases", !from.mlp_bias},
      {"attention windows", from.layer_window == moe.layer_window},
      {"rotary position embedding", from.rope == moe.rope},
      {"rms_norm_eps", from.rms_norm_eps == moe.rms_norm_eps},
      {"tied embeddings", from.tied_embeddings == moe.tied_embeddings},
  };
  for (const auto& [what, equal] : same) {
    if (equal) continue;
    throw NotBuiltError(concat("upcycling with these ", what))
        .expected(concat("what the family '", moe.family, "' has, too"))
        .found(concat(dense.path.string(), ", family '", from.family, "'"));
  }
}

void require_divisible(const ModelFolder& dense, const UpcycleConfig& config) {
  if (dense.config.dense_width % config.slices == 0) return;
  throw ConfigError("slices", "the FFN does not divide into as many slices")
      .expected(concat("a divisor of its intermediate width ", dense.config.dense_width))
      .found(std::to_string(config.slices));
}

std::vector<std::string> what_changes_the_function(const UpcycleConfig& config) {
  std::vector<std::string> reasons;
  if (config.scale != "exact") reasons.emplace_back("scale: the gate is scaled, silu not linear");
  if (config.reinit_ratio > 0) reasons.emplace_back("reinit_ratio: units are redrawn");
  if (config.router != "grouped") reasons.emplace_back("router: slices are not chosen together");
  if (config.top_k % config.slices != 0) {
    reasons.emplace_back("top_k: no multiple of slices, so some slice is chosen more than another");
  }
  return reasons;
}

}  // namespace

void UpcycleConfig::validate(Problems& problems) const {
  problems.require_in("slices", slices, 1, kMostInLayer);
  problems.require_in("copies", copies, 1, kMostInLayer);
  const auto is_small = [](int64_t count) { return count >= 1 && count <= kMostInLayer; };
  const int64_t num_experts = is_small(slices) && is_small(copies) ? slices * copies : 0;
  problems.require(num_experts >= 2 && num_experts <= kMostInLayer, "copies", concat(copies),
                   concat("must give 2 to ", kMostInLayer, " experts together with slices"));
  problems.require(top_k >= 0 && top_k <= num_experts, "top_k", concat(top_k),
                   "must be 0 (as many as slices) up to slices x copies");
  problems.require_one_of("scale", scale, {"cube_root", "exact"});
  problems.require_in("reinit_ratio", reinit_ratio, 0, 1);
  problems.require_one_of("router", router, {"grouped", "random"});
  problems.require_at_least("seed", seed, 0);
}

UpcyclePlan plan_upcycle(const ModelFolder& dense, const UpcycleConfig& config) {
  if (dense.config.is_moe()) {
    throw NotComparable(dense.path.string(), "the model has experts already")
        .expected("a dense model")
        .found("family " + dense.config.family)
        .hint("`polygraft expand graft` adds experts to a mixture-of-experts model");
  }
  const Family& family = moe_family_of(dense);
  UpcyclePlan plan;
  plan.config = config;
  if (plan.config.top_k == 0) plan.config.top_k = config.slices;
  require_divisible(dense, plan.config);
  plan.config_json = moe_config_json(dense, family, plan.config);
  plan.model = model::parse_model_config(Json(*plan.config_json), dense.path / "config.json");
  plan.model.dtype = dense.config.dtype;  // as stored, whatever config.json says
  require_same_outside_ffn(dense, plan.model);
  plan.why_changed = what_changes_the_function(plan.config);
  return plan;
}

Json UpcyclePlan::to_json() const {
  const model::ParameterCount count = model::count_parameters(model);
  return {{"family", model.family},
          {"num_experts", model.num_experts},
          {"top_k", model.top_k},
          {"expert_width", model.expert_width},
          {"params_total", count.total},
          {"params_active", count.active_per_token},
          {"function", why_changed.empty() ? "kept" : "changed"},
          {"why_changed", why_changed},
          {"config", config_to_json(config)}};
}

}  // namespace polygraft::expand
