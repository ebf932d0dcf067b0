// trainer/trainee.cpp: see trainee.h. Reference for the keys: transformers 5.23,
// configuration_qwen3_moe.py, configuration_qwen3.py, configuration_llama.py; keys of version 4 are
// written beside those of version 5.
#include "trainer/trainee.h"

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "expand/packs/pack_on_base.h"
#include "model/architecture/device_weights.h"
#include "model/architecture/gpu.h"
#include "model/checkpoint/families.h"
#include "trainer/grown_vocabulary.h"

namespace polygraft::trainer {
namespace {

void add_special_ids(const tokenizer::Tokenizer& tokenizer, OrderedJson& json) {
  if (const auto id = tokenizer.bos_id()) json["bos_token_id"] = *id;
  if (const auto id = tokenizer.eos_id()) json["eos_token_id"] = *id;
}

void add_expert_keys(const ArchitectureConfig& architecture, OrderedJson& json) {
  json["decoder_sparse_step"] = 1;
  json["mlp_only_layers"] = OrderedJson::array();
  json["moe_intermediate_size"] = architecture.expert_width;
  json["num_experts"] = architecture.num_experts;
  json["num_experts_per_tok"] = architecture.top_k;
  json["norm_topk_prob"] = true;
  json["output_router_logits"] = false;
  json["router_aux_loss_coef"] = 0.001;
}

Trainee from_scratch(const TrainJob& job) {
  auto tokenizer = tokenizer::Tokenizer::load(job.tokenizer);
  OrderedJson json = scratch_config_json(*job.scratch, tokenizer);
  const model::ModelConfig config = model::parse_model_config(Json(json), "architecture");
  model::Weights weights = model::random_weights(config, job.seed, at::kFloat);
  return {std::nullopt, std::move(json), std::move(tokenizer),
          model::Transformer(config, std::move(weights))};
}

Trainee from_pack(const TrainJob& job, model::ModelFolder base) {
  expand::PackOnBase with_pack = expand::put_pack_on(base, job.pack);
  base.manifest = std::move(with_pack.manifest);
  OrderedJson json = *base.config_json;
  model::Transformer transformer(std::move(with_pack.config), std::move(with_pack.weights));
  return {std::move(base), std::move(json), std::move(with_pack.tokenizer), std::move(transformer)};
}

/// What trains must be in memory; a base that stays as it is need not be.
model::Weights read_weights(const model::ModelFolder& folder, const TrainConfig& train) {
  if (train.changes_base()) return model::load_weights(folder, at::kFloat);
  auto weights = model::map_weights(folder, at::kFloat, model::AddedExperts::kInMemory);
  if (folder.manifest) return weights;
  for (model::LayerWeights& layer : weights.layers) {  // nothing is added: its routers train
    at::Tensor& router = layer.moe.router.base;
    if (layer.is_moe) router = router.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  }
  return weights;
}

Trainee from_folder(const TrainJob& job) {
  auto folder = model::ModelFolder::open(job.model);
  if (!job.pack.empty()) return from_pack(job, std::move(folder));
  require_additions(job, folder);
  OrderedJson json = *folder.config_json;
  model::ModelConfig config = folder.config;
  auto tokenizer = tokenizer::Tokenizer::load(job.model);
  model::Weights weights = read_weights(folder, job.train);
  if (!job.tokenizer.empty()) {
    if (folder.manifest) {
      throw ConfigError("tokenizer", "the model is expanded: its additions came with a tokenizer")
          .found(job.model.string())
          .hint("leave `tokenizer` out, or start from the base");
    }
    auto extended = tokenizer::Tokenizer::load(job.tokenizer);
    grow_vocabulary(tokenizer, extended, config, weights);
    json["vocab_size"] = config.vocab_rows;
    tokenizer = std::move(extended);
  }
  model::Transformer transformer(std::move(config), std::move(weights));
  return {std::move(folder), std::move(json), std::move(tokenizer), std::move(transformer)};
}

/// @param experts null: all of them on this GPU.
model::Transformer on_gpu(const TrainJob& job, const model::Transformer& transformer,
                          model::ExpertParallel* experts) {
  model::Gpu gpu = job.open_gpu ? job.open_gpu() : model::open_gpu();
  const model::ExpertShare share = experts == nullptr ? model::ExpertShare{} : experts->share();
  const int64_t needed = model::bytes_on_device(transformer.weights(), share);
  if (needed > gpu.free_bytes) {
    throw ConfigError("train.device", "the model's weights do not fit on the GPU")
        .expected(concat(human_bytes(static_cast<uint64_t>(needed)),
                         " free, and as much again for training"))
        .found(concat(human_bytes(static_cast<uint64_t>(gpu.free_bytes)), " free on ", gpu.name))
        .hint(
            "share experts out over several (torchrun, --ep), use a larger GPU, or leave `device` "
            "out");
  }
  log_info(concat("training on ", gpu.name, ": weights take ",
                  human_bytes(static_cast<uint64_t>(needed)), " of the ",
                  human_bytes(static_cast<uint64_t>(gpu.free_bytes)), " that are free"));
  return transformer.on_device(gpu.device, std::move(gpu.executor), experts);
}

}  // namespace

OrderedJson scratch_config_json(const ArchitectureConfig& architecture,
                                const tokenizer::Tokenizer& tokenizer) {
  const model::Family& family = model::find_family(architecture.family);
  OrderedJson json;
  json["architectures"] = {family.architecture};
  json["model_type"] = family.model_type;
  json["vocab_size"] = tokenizer.size();
  json["hidden_size"] = architecture.hidden_size;
  // A sparse model without dense layers never uses its dense width, but the reference's config
  // class has the key.
  json["intermediate_size"] = family.switches.moe && architecture.dense_width == 0
                                  ? architecture.expert_width * architecture.top_k
                                  : architecture.dense_width;
  json["num_hidden_layers"] = architecture.num_layers;
  json["num_attention_heads"] = architecture.num_heads;
  json["num_key_value_heads"] = architecture.num_kv_heads;
  json["head_dim"] = architecture.head_dim;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  if (family.switches.moe) add_expert_keys(architecture, json);
  json["rms_norm_eps"] = 1e-6;
  json["rope_theta"] = architecture.rope_theta;
  json["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", architecture.rope_theta}};
  json["max_position_embeddings"] = architecture.max_positions;
  json["initializer_range"] = 0.02;
  json["tie_word_embeddings"] = architecture.tied_embeddings;
  json["use_cache"] = true;
  add_special_ids(tokenizer, json);
  json["torch_dtype"] = architecture.dtype;
  json["dtype"] = architecture.dtype;
  return json;
}

void require_additions(const TrainJob& job, const model::ModelFolder& folder) {
  if (job.train.trainable != "additions" || !job.pack.empty() || folder.manifest) return;
  throw ConfigError(job.model.string(), "the model has no additions to train")
      .expected(concat("an expanded model with ", model::kManifestFile))
      .hint("run `polygraft expand graft` first, name a `pack`, or set train.trainable to all");
}

void require_positions(const model::ModelConfig& model, const TrainConfig& train) {
  if (train.sequence_length <= model.max_positions) return;
  throw ConfigError("train.sequence_length", "is longer than the model's positions")
      .expected(concat("at most ", model.max_positions))
      .found(concat(train.sequence_length));
}

bool shares_experts_on_gpus(const TrainJob& job) {
  return job.train.device == "cuda" && job.ranks != nullptr && job.ranks->shares_experts();
}

Trainee load_trainee(const TrainJob& job) {
  Trainee trainee = job.scratch ? from_scratch(job) : from_folder(job);
  require_positions(trainee.transformer.config(), job.train);
  if (job.ranks != nullptr) {
    trainee.experts = std::make_unique<model::ExpertParallel>(job.ranks->experts());
  }
  if (job.train.device == "cuda") {
    model::ExpertParallel* experts = shares_experts_on_gpus(job) ? trainee.experts.get() : nullptr;
    trainee.transformer = on_gpu(job, trainee.transformer, experts);
  }
  return trainee;
}

}  // namespace polygraft::trainer
