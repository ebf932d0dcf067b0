// expand/plan.cpp: from a profile and a request to a plan: languages, donors, sizes.
// Legend: D model width, F expert width, V base vocabulary rows, n new experts per layer, v new
// vocabulary rows.
#include "expand/plan.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "expand/donors.h"
#include "expand/place_rows.h"
#include "model/checkpoint/pack_name.h"
#include "model/checkpoint/serving_lint.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

using model::ModelConfig;

void check_language(const std::string& language) {
  if (model::is_pack_name(language)) return;
  throw ConfigError("language", "no pack can have that name")
      .expected(model::kPackNameRule)
      .found(in_quotes(language))
      .hint("name it otherwise in the corpus and profile again: pt-BR, say, for pt/BR");
}

void check_model(const ModelConfig& config, const Profile& profile, const PlanRequest& request) {
  if (!config.is_moe()) {
    throw ConfigError(config.family, "a dense model has no experts to graft beside")
        .hint("use a mixture-of-experts model");
  }
  if (config.vocab_rows < request.num_tokens) {
    throw ConfigError("model", "it has fewer vocabulary rows than its tokenizer has tokens")
        .expected(concat("at least ", request.num_tokens, " rows"))
        .found(concat(config.vocab_rows));
  }
  if (!config.tied_embeddings && request.vocabulary.head == "tied" && request.new_vocab_rows > 0) {
    throw ConfigError("tokenizer.head", "'tied' for a model whose head has rows of its own")
        .hint("use head: untied");
  }
  const auto num_moe = std::count(config.layer_is_moe.begin(), config.layer_is_moe.end(), true);
  if (profile.layers.size() != static_cast<size_t>(num_moe)) {
    throw ConfigError("profile", "it is of another model")
        .expected(concat(num_moe, " layers with experts"))
        .found(concat(profile.layers.size()));
  }
}

void check_layer(const ModelConfig& config, const LayerProfile& layer,
                 const std::string& language) {
  const auto index = static_cast<size_t>(layer.layer);
  const bool is_moe =
      layer.layer >= 0 && index < config.layer_is_moe.size() && config.layer_is_moe[index];
  const auto signature = layer.signature.find(language);
  const size_t num_experts = signature == layer.signature.end() ? 0 : signature->second.size();
  if (is_moe && num_experts == static_cast<size_t>(config.num_experts)) return;
  throw ConfigError("profile", concat("layer ", layer.layer, " is of another model"))
      .expected(concat("a layer with ", config.num_experts, " experts"))
      .found(is_moe ? concat(num_experts, " experts") : "no layer with experts");
}

/// Whether new output rows are apart from the new input rows.
bool has_own_head(const ModelConfig& config, const ExpansionPlan& plan) {
  return plan.untie_head || !config.tied_embeddings;
}

/// A mark needs new input rows that are not output rows, too, and routers above the first layer
/// that are fitted to it.
bool can_mark(const ModelConfig& config, const ExpansionPlan& plan) {
  return plan.new_vocab_rows > 0 && has_own_head(config, plan) &&
         plan.experts.router == "discriminant" && !plan.layers.empty() &&
         plan.layers.back().layer > 0;
}

/// What one forward pass of a batch holds at once: the chosen experts' intermediates, and a handful
/// of tensors as wide as the model.
int64_t activation_bytes(const ModelConfig& config) {
  constexpr int64_t kBatchTokens = 4096;  // of make_batches()
  const int64_t per_slot = 3 * config.expert_width + config.hidden_size;
  return 4 * kBatchTokens * (config.top_k * per_slot + 8 * config.hidden_size);
}

/// Of the additions: rows in float32; an expert is made when it is written.
int64_t addition_bytes(const ModelConfig& config, const ExpansionPlan& plan) {
  constexpr int64_t kWaitingBytes = int64_t{64} << 20;  // of write_expanded()
  const auto num_layers = static_cast<int64_t>(plan.layers.size());
  const int64_t router_rows = num_layers * plan.experts.experts_per_layer;
  const int64_t vocabulary_rows = plan.new_vocab_rows * (has_own_head(config, plan) ? 2 : 1);
  const int64_t expert = 3 * config.hidden_size * config.expert_width;
  return 4 * ((router_rows + vocabulary_rows) * config.hidden_size + expert) + kWaitingBytes;
}

/// The additions, and the block of the base's weights at work; of the calibration text,
/// the final states and one layer's router inputs and scores in float32, and in float64 while it is
/// fitted. Files mapped into memory are not counted: the system takes their pages back when it
/// needs them.
int64_t estimate_peak_memory(const ModelConfig& config, const ExpansionPlan& plan) {
  constexpr int64_t kProgramBytes = int64_t{160} << 20;  // measured: LibTorch and its threads
  const int64_t tokens = plan.experts.calibration_new_tokens + plan.experts.calibration_old_tokens;
  const int64_t width = config.hidden_size;
  const auto num_layers = static_cast<int64_t>(plan.layers.size());
  const int64_t n = plan.experts.experts_per_layer;
  constexpr int64_t kConvertedElements = int64_t{4} << 20;  // of a stored matrix at once
  const int64_t weights = 4 * kConvertedElements + addition_bytes(config, plan);
  const int64_t features = 4 * tokens * (width + n + 3);
  const int64_t hidden = 4 * tokens * width;
  // Inputs and one scaled copy of them; targets, scores and hinges; moment matrix and its factor.
  const int64_t fit = 8 * (2 * tokens * width + 4 * tokens * n + 3 * width * width);
  const int64_t calibration = features + hidden + std::max(fit, activation_bytes(config));
  // Of the mark's batches, a quarter of the others, every layer is kept for the backward pass.
  const bool has_mark = plan.vocabulary.mark_steps > 0;
  const int64_t mark = has_mark ? activation_bytes(config) * num_layers / 4 : 0;
  return kProgramBytes + weights + std::max(calibration, mark);
}

}  // namespace

int64_t count_new_experts(const ModelConfig& config, const ExpertConfig& experts) {
  const int64_t multiple = experts.experts_multiple_of;
  const int64_t wanted = config.num_experts + experts.experts_per_layer;
  const int64_t num_new = (wanted + multiple - 1) / multiple * multiple - config.num_experts;
  if (num_new <= config.num_experts) return num_new;
  throw ConfigError("expand.experts_per_layer", concat(num_new, " new experts need as many donors"))
      .expected(concat("at most ", config.num_experts, ", the model's experts per layer"));
}

int64_t AddedSizes::bytes(model::Dtype dtype) const {
  return (parameters + copies) * static_cast<int64_t>(model::dtype_bytes(dtype));
}

AddedSizes count_added(const ModelConfig& base, int64_t num_new_experts,
                       const model::RowLayout& vocabulary, bool untie_head) {
  const int64_t width = base.hidden_size;
  const int64_t per_expert = 3 * base.expert_width * width + width;  // gate, up, down, router row
  const int64_t num_layers = std::count(base.layer_is_moe.begin(), base.layer_is_moe.end(), true);
  const int64_t num_matrices = untie_head || !base.tied_embeddings ? 2 : 1;
  AddedSizes sizes;
  sizes.parameters =
      num_layers * num_new_experts * per_expert + vocabulary.num_added * width * num_matrices;
  sizes.copies = vocabulary.placement.num_padding * width * num_matrices;
  if (untie_head) sizes.copies += (base.vocab_rows - vocabulary.num_displaced()) * width;
  return sizes;
}

void check_profiled(const model::ModelFolder& model, const Profile& profile) {
  const std::string hash = model::hash_tensors(model.tensors);
  if (profile.model_hash == hash) return;
  throw NotComparable(model.path.string(), "this is not the model that the profile was made from")
      .expected("tensors with SHA-256 " + profile.model_hash)
      .found(hash)
      .hint("profile again with this model, or name the one that was profiled");
}

ExpansionPlan plan_expansion(const ModelConfig& config, const Profile& profile,
                             const PlanRequest& request) {
  check_language(request.language);
  check_model(config, profile, request);
  ExpansionPlan plan;
  plan.language = request.language;
  const model::RowLayout layout = place_rows(config.vocab_rows, request.num_tokens,
                                             request.new_vocab_rows, request.vocabulary.pad_to);
  plan.new_vocab_rows = request.new_vocab_rows;
  plan.spare_vocab_rows = layout.num_displaced();
  plan.grown_vocab_rows = layout.num_added - layout.num_displaced();
  plan.padding_vocab_rows = layout.placement.num_padding;
  plan.seed = request.seed;
  plan.experts = request.experts;
  plan.vocabulary = request.vocabulary;
  plan.model_hash = profile.model_hash;
  plan.nearest = rank_old_languages(profile, request.language);
  plan.untie_head =
      config.tied_embeddings && request.vocabulary.head == "untied" && request.new_vocab_rows > 0;
  const int64_t num_new = count_new_experts(config, request.experts);
  plan.experts.experts_per_layer = num_new;
  for (const LayerProfile& layer : profile.layers) {
    check_layer(config, layer, request.language);
    plan.layers.push_back(
        {layer.layer, choose_donors(layer, request.language, plan.nearest,
                                    request.experts.donors == "nearest", num_new)});
  }
  if (!can_mark(config, plan)) plan.vocabulary.mark_steps = 0;
  plan.softmax_shift = predict_softmax_shift(config, profile, request.experts, plan.layers);
  const AddedSizes sizes = count_added(config, num_new, layout, plan.untie_head);
  plan.added_parameters = sizes.parameters;
  plan.added_bytes = sizes.bytes(config.dtype);
  plan.peak_memory_bytes = estimate_peak_memory(config, plan);
  // Side files are the folder's matter: `inspect` looks at them.
  plan.warnings = model::serving_warnings({config.num_experts + num_new, layout.num_rows(),
                                           request.num_tokens + request.new_vocab_rows, true});
  return plan;
}

}  // namespace polygraft::expand
