// tests/expand/tiny_model.cpp: see tiny_model.h.
#include "tests/expand/tiny_model.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstring>
#include <set>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/random.h"
#include "core/text.h"
#include "expand/additions.h"
#include "expand/rounded_bytes.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::testing {

namespace {

// Tensors of a few hundred numbers: threads would cost more than they give.
const bool kQuietAndSingleThreaded = [] {
  at::set_num_threads(1);
  set_log_level(LogLevel::kWarn);
  return true;
}();

}  // namespace

OrderedJson tiny_config(const TinyModel& tiny) {
  const model::Family& family = model::find_family(tiny.family);
  const std::string& expert_width_key = family.switches.expert_width_key;
  return {{"architectures", {family.architecture}},
          {"model_type", tiny.family},
          {"vocab_size", tiny.vocab_rows},
          {"hidden_size", 16},
          {"num_hidden_layers", tiny.num_layers},
          {"mlp_only_layers", {0}},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 8},
          {"intermediate_size", expert_width_key == "intermediate_size" ? 8 : 24},
          {"moe_intermediate_size", 8},
          {"shared_expert_intermediate_size", 12},
          {family.switches.num_experts_key, 6},
          {"num_experts_per_tok", 2},
          {"norm_topk_prob", tiny.renormalize},
          {"a_key_nobody_knows", "kept"},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", tiny.tied},
          {"dtype", tiny.dtype == "mixed" ? "bfloat16" : tiny.dtype}};
}

bool is_wide(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  return has("norm") || has("mlp.gate.") || has("down_proj");
}

namespace {

/// The float32 folder with all but norms and routers made bfloat16.
void narrow_tensors(const fs::path& folder) {
  const auto wide = model::ModelFolder::open(folder);
  std::vector<model::TensorSpec> specs;
  for (const std::string& name : wide.tensors.names()) {
    const model::TensorView& view = wide.tensors.get(name);
    specs.push_back({name, is_wide(name) ? view.dtype : model::Dtype::kBF16, view.shape});
  }
  fs::create_directories(folder / "narrow");
  model::TensorWriter writer(folder / "narrow", specs);
  for (const model::TensorSpec& spec : specs) {
    const at::Tensor values = model::mapped_tensor(wide.tensors.get(spec.name));
    writer.append(spec.name, expand::rounded_bytes(values, spec.dtype));
  }
  writer.finish();
  fs::rename(folder / "narrow" / "model.safetensors", folder / "model.safetensors");
  fs::remove(folder / "narrow");
}

}  // namespace

void write_tiny_base(const TinyModel& tiny, const fs::path& folder) {
  fs::create_directories(folder);
  const OrderedJson json = tiny_config(tiny);
  auto config = model::parse_model_config(Json(json), folder / "config.json");
  if (tiny.dtype == "mixed") config.dtype = model::Dtype::kF32;
  model::Weights weights = model::random_weights(config, tiny.seed, at::kFloat);
  // At the usual start every expert scores nearly the same; a trained router's scores are apart.
  weights.for_each([](const std::string&, at::Tensor& tensor) { tensor.mul_(5); });
  model::write_weights(weights, config, tiny.layout, folder);
  write_json(folder / "config.json", json);
  write_json(folder / "generation_config.json", OrderedJson{{"do_sample", false}});
  if (tiny.dtype == "mixed") narrow_tensors(folder);
}

namespace {

at::Tensor random_tensor(at::IntArrayRef shape, RandomStream random) {
  at::Tensor tensor = at::empty(shape, at::kFloat);
  float* const values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(0.3 * random.normal());
  }
  return tensor;
}

}  // namespace

expand::Additions random_additions(const model::ModelConfig& config, int64_t num_experts,
                                   int64_t num_vocab_rows, bool own_head, uint64_t seed) {
  expand::Additions additions;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    additions[name] = random_tensor(shape, RandomStream(seed, name));
  };
  const int64_t width = config.hidden_size, expert_width = config.expert_width;
  if (num_vocab_rows > 0) add("embedding.added", {num_vocab_rows, width});
  if (num_vocab_rows > 0 && own_head) add("head.added", {num_vocab_rows, width});
  for (const int64_t layer : expand::AdditionShapes::of(config).moe_layers) {
    const std::string prefix = concat("layers.", layer, ".moe.");
    add(prefix + "router.added", {num_experts, width});
    add(prefix + "gate_up.added", {num_experts, 2 * expert_width, width});
    add(prefix + "down.added", {num_experts, width, expert_width});
  }
  return additions;
}

expand::ExpandedFolder describe(const model::ModelFolder& base, int64_t num_experts,
                                int64_t num_vocab_rows, bool untie_head) {
  expand::ExpandedFolder expanded;
  expanded.untie_head = untie_head;
  model::Manifest& manifest = expanded.manifest;
  manifest.tool_version = "test";
  manifest.base_tensors_hash = model::hash_tensors(base.tensors);
  manifest.base_tokenizer_hash = std::string(64, '0');
  manifest.base_num_experts = base.config.num_experts;
  manifest.base_vocab_rows = base.config.vocab_rows;
  manifest.base_tied_embeddings = base.config.tied_embeddings;
  manifest.packs = {
      {"id", base.config.num_experts, num_experts, base.config.vocab_rows, num_vocab_rows}};
  return expanded;
}

at::Tensor probe_logits(const model::Transformer& transformer, const model::Mask& mask) {
  const at::NoGradGuard no_grad;
  RandomStream random(1, "probe");
  std::vector<int64_t> ids(40);
  for (int64_t& id : ids) id = static_cast<int64_t>(random.below(90));
  const model::Batch batch{at::tensor(ids, at::kLong), {3, 37}};
  return transformer.logits(transformer.hidden(batch, mask), mask).contiguous();
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(),
                     a.nbytes()) == 0;
}

std::string hash_folder(const fs::path& folder) {
  std::set<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.insert(entry.path());
  }
  Sha256 hash;
  for (const fs::path& file : files) {
    hash.update(fs::relative(file, folder).string() + "\n" + sha256_file(file) + "\n");
  }
  return hash.finish();
}

}  // namespace polygraft::testing
