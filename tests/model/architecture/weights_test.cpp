// tests/model/architecture/weights_test.cpp: random start, order of names, dtypes, and the round
// trip through a folder.
#include "core/json.h"
#include "core/text.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/stored_tensors.h"
#include "model/kernels/dispatch.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"

namespace polygraft::testing {
namespace {

using model::ExpertLayout;
using model::ModelConfig;
using model::Weights;

void write_config(const ModelConfig& config, const fs::path& folder) {
  OrderedJson json = {{"architectures", {"Qwen3MoeForCausalLM"}},
                      {"model_type", "qwen3_moe"},
                      {"hidden_act", "silu"},
                      {"hidden_size", config.hidden_size},
                      {"num_hidden_layers", config.num_layers},
                      {"num_attention_heads", config.num_heads},
                      {"num_key_value_heads", config.num_kv_heads},
                      {"head_dim", config.head_dim},
                      {"vocab_size", config.vocab_rows},
                      {"intermediate_size", config.dense_width},
                      {"moe_intermediate_size", config.expert_width},
                      {"num_experts", config.num_experts},
                      {"num_experts_per_tok", config.top_k},
                      {"norm_topk_prob", config.renormalize_top_k},
                      {"decoder_sparse_step", 1},
                      {"mlp_only_layers", Json::array()},
                      {"rms_norm_eps", config.rms_norm_eps},
                      {"max_position_embeddings", config.max_positions},
                      {"rope_theta", config.rope.theta},
                      {"tie_word_embeddings", config.tied_embeddings},
                      {"attention_bias", config.qkv_bias},
                      {"torch_dtype", std::string(model::torch_dtype_name(config.dtype))}};
  write_json(folder / "config.json", json);
}

void require_same_weights(Weights& actual, Weights& expected) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  expected.for_each(
      [&](const std::string& name, at::Tensor& tensor) { tensors.emplace_back(name, tensor); });
  size_t i = 0;
  actual.for_each([&](const std::string& name, at::Tensor& tensor) {
    INFO(name);
    REQUIRE(i < tensors.size());
    REQUIRE(name == tensors[i].first);
    REQUIRE(bitwise_equal(tensor, tensors[i].second));
    ++i;
  });
  REQUIRE(i == tensors.size());
}

}  // namespace

TEST_CASE("random weights depend on (config, seed) alone", "[model][weights]") {
  const auto config = tiny_config();
  auto a = model::random_weights(config, 7, at::kFloat),
       b = model::random_weights(config, 7, at::kFloat);
  auto c = model::random_weights(config, 8, at::kFloat);
  require_same_weights(a, b);
  REQUIRE_FALSE(bitwise_equal(a.embedding.base, c.embedding.base));
  REQUIRE(a.embedding.base.std().item<float>() == Approx(0.02).epsilon(0.1));
  REQUIRE(a.layers[0].moe.down.base.std().item<float>() ==
          Approx(0.01).epsilon(0.1));  // 0.02 / sqrt(2 * 2 layers)
  REQUIRE(at::equal(a.layers[1].mlp_norm, at::ones({16})));
}

TEST_CASE("every tensor is visited once, additions under their own names", "[model][weights]") {
  auto config = tiny_config();
  config.tied_embeddings = GENERATE(true, false);
  auto weights = grown(lively_weights(config, 1), 2, 3);
  std::vector<std::string> all, added;
  weights.for_each([&](const std::string& name, at::Tensor&) { all.push_back(name); });
  weights.for_each_added([&](const std::string& name, at::Tensor&) { added.push_back(name); });
  REQUIRE(all[0] == "embedding.base");
  REQUIRE(all[1] == "embedding.added");
  REQUIRE(std::count(all.begin(), all.end(), "head.base") == (config.tied_embeddings ? 0 : 1));
  REQUIRE(std::count(all.begin(), all.end(), "layers.1.moe.gate_up.added") == 1);
  REQUIRE(added.size() == (config.tied_embeddings ? 7 : 8));
  for (const auto& name : added) REQUIRE(std::count(all.begin(), all.end(), name) == 1);
}

TEST_CASE("a visitor that replaces the embedding replaces a tied head", "[model][weights]") {
  auto config = tiny_config();
  config.tied_embeddings = true;
  auto weights = lively_weights(config, 1);
  weights.for_each([](const std::string& name, at::Tensor& tensor) {
    if (name == "embedding.base") tensor = tensor.clone();
  });
  REQUIRE(weights.head.base.is_same(weights.embedding.base));
}

TEST_CASE("weights come back from a folder bit for bit", "[model][weights]") {
  const TemporaryFolder scratch;
  auto config = tiny_config();
  config.tied_embeddings = GENERATE(true, false);
  const auto layout = GENERATE(ExpertLayout::kPerExpert, ExpertLayout::kFused);
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  config.dtype = model::from_scalar_type(dtype);
  auto weights = lively_weights(config, 3);
  weights.for_each([&](const std::string&, at::Tensor& tensor) { tensor = tensor.to(dtype); });
  write_config(config, scratch.path());
  model::write_weights(weights, config, layout, scratch.path());
  const auto folder = model::ModelFolder::open(scratch.path());
  REQUIRE(folder.layout == layout);
  auto loaded = model::load_weights(folder, dtype);
  REQUIRE(loaded.tied == config.tied_embeddings);
  require_same_weights(loaded, weights);
}

TEST_CASE("a manifest splits the rows of a folder into base and added", "[model][weights]") {
  const TemporaryFolder scratch;
  auto config = tiny_config();
  auto weights = grown(lively_weights(config, 3), 2, 5);
  config.num_experts += 2;
  config.vocab_rows += 5;
  const auto layout = GENERATE(ExpertLayout::kPerExpert, ExpertLayout::kFused);
  write_config(config, scratch.path());
  model::write_weights(weights, config, layout, scratch.path());
  auto folder = model::ModelFolder::open(scratch.path());
  folder.manifest.emplace();
  folder.manifest->base_num_experts = 6;
  folder.manifest->base_vocab_rows = 40;
  folder.manifest->packs = {{"id", 6, 2, 40, 5}};
  auto loaded = model::load_weights(folder, at::kFloat);
  require_same_weights(loaded, weights);
}

TEST_CASE("a base used where it lies computes what a base in memory computes",
          "[model][weights][property]") {
  const TemporaryFolder scratch;
  auto config = tiny_config();
  config.tied_embeddings = GENERATE(true, false);
  const auto layout = GENERATE(ExpertLayout::kPerExpert, ExpertLayout::kFused);
  const auto stored = GENERATE(at::kFloat, at::kBFloat16, at::kHalf);
  CAPTURE(stored, config.tied_embeddings, layout == ExpertLayout::kFused);
  config.dtype = model::from_scalar_type(stored);
  const auto weights = grown(lively_weights(config, 3), 2, 5);
  config.num_experts += 2;
  config.vocab_rows += 5;
  write_config(config, scratch.path());
  model::write_weights(weights, config, layout, scratch.path());
  auto folder = model::ModelFolder::open(scratch.path());
  folder.manifest.emplace();
  folder.manifest->base_num_experts = 6;
  folder.manifest->base_vocab_rows = 40;
  folder.manifest->packs = {{"id", 6, 2, 40, 5}};
  model::Transformer resident(config, model::load_weights(folder, at::kFloat));
  model::Transformer mapped(config,
                            model::map_weights(folder, at::kFloat, model::AddedExperts::kInMemory));
  const auto batch = random_batch({9, 4, 13}, config.vocab_rows);
  const auto all_base_batch = random_batch({9, 4, 13}, 40);
  std::vector<at::Tensor> logits_TV, gradients;
  for (auto* transformer : {&resident, &mapped}) {
    transformer->weights().for_each_added(
        [](const std::string&, at::Tensor& tensor) { tensor.set_requires_grad(true); });
    const auto hidden_TD = transformer->hidden(batch);
    logits_TV.push_back(transformer->logits(hidden_TD).detach());
    model::cross_entropy_sum(hidden_TD, batch.ids_T, transformer->weights().head).backward();
    transformer->weights().for_each_added(
        [&](const std::string&, at::Tensor& tensor) { gradients.push_back(tensor.grad()); });
  }
  // Added experts where they lie, too: the values are the same.
  model::Transformer all_mapped(
      config, model::map_weights(folder, at::kFloat, model::AddedExperts::kMapped));
  const at::Tensor& added = all_mapped.weights().layers[1].moe.down.added;
  CHECK((layout == ExpertLayout::kPerExpert ? added.is_meta() : added.scalar_type() == stored));
  const auto all_mapped_TV = all_mapped.logits(all_mapped.hidden(batch)).detach();
  CHECK(excess(all_mapped_TV, logits_TV[0], tolerance(at::kFloat)) <= 1);
  const at::Tensor masked_TV[2] = {
      all_mapped.logits(all_mapped.hidden(all_base_batch, model::Mask::all()), model::Mask::all()),
      mapped.logits(mapped.hidden(all_base_batch, model::Mask::all()), model::Mask::all())};
  CHECK(bitwise_equal(masked_TV[0].detach(), masked_TV[1].detach()));
  // Where the kernels multiply narrow weights as they lie, a resident float32 copy goes another
  // way.
  const bool same_products = stored == at::kFloat || !kernels::operations().is_fast;
  const auto check_same = [&](const at::Tensor& a, const at::Tensor& b) {
    CHECK((same_products ? bitwise_equal(a, b) : excess(a, b, tolerance(at::kFloat)) <= 1));
  };
  check_same(logits_TV[0], logits_TV[1]);
  const size_t num_added = gradients.size() / 2;
  for (size_t i = 0; i < num_added; ++i) check_same(gradients[i], gradients[num_added + i]);
}

TEST_CASE("a mapped base's matrices are the file's bytes, not copies", "[model][weights]") {
  const TemporaryFolder scratch;
  auto config = tiny_config();
  config.dtype = model::Dtype::kBF16;
  const auto layout = GENERATE(ExpertLayout::kPerExpert, ExpertLayout::kFused);
  write_config(config, scratch.path());
  model::write_weights(lively_weights(config, 3), config, layout, scratch.path());
  const auto folder = model::ModelFolder::open(scratch.path());
  const auto weights = model::map_weights(folder, at::kFloat, model::AddedExperts::kInMemory);
  CHECK(weights.compute_dtype() == at::kFloat);
  const auto lies_in_file = [&](const at::Tensor& tensor, const std::string& name) {
    return tensor.const_data_ptr() == folder.tensors.get(name).bytes.data();
  };
  CHECK(lies_in_file(weights.embedding.base, "model.embed_tokens.weight"));
  const model::LayerWeights& layer = weights.layers[1];
  CHECK(lies_in_file(layer.attention.query, "model.layers.1.self_attn.q_proj.weight"));
  if (layout == ExpertLayout::kFused) {
    CHECK(lies_in_file(layer.moe.down.base, "model.layers.1.mlp.experts.down_proj"));
  } else {
    REQUIRE(layer.moe.gate_up.pieces.size() == 12);
    CHECK(lies_in_file(layer.moe.gate_up.pieces[3], "model.layers.1.mlp.experts.1.up_proj.weight"));
    CHECK(lies_in_file(layer.moe.down.pieces[5], "model.layers.1.mlp.experts.5.down_proj.weight"));
  }
}

TEST_CASE("conversion to bfloat16 rounds to nearest, ties to even", "[model][weights]") {
  const TemporaryFolder scratch;
  auto config = tiny_config();
  auto weights = lively_weights(config, 3);
  // 1 + 2^-8 lies halfway between 1 and 1 + 2^-7; 1 + 3 * 2^-8 halfway between 1 + 2^-7 and 1 +
  // 2^-6.
  weights.final_norm[0] = 1.0F + 1.0F / 256;
  weights.final_norm[1] = 1.0F + 3.0F / 256;
  write_config(config, scratch.path());
  model::write_weights(weights, config, ExpertLayout::kFused, scratch.path());
  const auto loaded = model::load_weights(model::ModelFolder::open(scratch.path()), at::kBFloat16);
  REQUIRE(loaded.final_norm[0].item<float>() == 1.0F);
  REQUIRE(loaded.final_norm[1].item<float>() == 1.0F + 1.0F / 64);
}

TEST_CASE("dtypes map both ways", "[model][weights]") {
  using model::Dtype;
  for (const Dtype dtype : {Dtype::kF32, Dtype::kF16, Dtype::kBF16, Dtype::kF64, Dtype::kI64,
                            Dtype::kI32, Dtype::kI16, Dtype::kI8, Dtype::kU8, Dtype::kBool}) {
    REQUIRE(model::from_scalar_type(model::to_scalar_type(dtype)) == dtype);
    REQUIRE(at::elementSize(model::to_scalar_type(dtype)) == model::dtype_bytes(dtype));
  }
}

}  // namespace polygraft::testing
