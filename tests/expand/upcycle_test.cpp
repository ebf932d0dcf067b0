// tests/expand/upcycle_test.cpp: when the dense function is kept and when not, what is copied, cut
// and redrawn, and what is refused.
#include "expand/upcycle.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "model/architecture/transformer.h"
#include "model/architecture/weights.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"
#include "tests/tolerances.h"

namespace polygraft::testing {

using Catch::Contains;
using expand::UpcycleConfig;
using expand::UpcyclePlan;
using model::ModelFolder;

namespace {

constexpr int64_t kWidth = 24;  // of the FFN

OrderedJson dense_json(const std::string& family) {
  return {{"architectures", {model::find_family(family).architecture}},
          {"model_type", family},
          {"vocab_size", 96},
          {"hidden_size", 16},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"head_dim", 8},
          {"intermediate_size", kWidth},
          {"max_position_embeddings", 64},
          {"tie_word_embeddings", true},
          {"a_key_nobody_knows", "kept"},
          {"dtype", "float32"}};
}

ModelFolder write_dense(const std::filesystem::path& folder, const OrderedJson& json) {
  std::filesystem::create_directories(folder);
  const auto config = model::parse_model_config(Json(json), folder / "config.json");
  model::Weights weights = model::random_weights(config, 11, at::kFloat);
  weights.for_each([](const std::string&, at::Tensor& tensor) { tensor.mul_(8); });
  model::write_weights(weights, config, model::ExpertLayout::kNone, folder);
  write_json(folder / "config.json", json);
  write_json(folder / "generation_config.json", OrderedJson{{"do_sample", false}});
  return ModelFolder::open(folder);
}

UpcycleConfig keeping() {
  UpcycleConfig config;
  config.slices = 4;
  config.copies = 3;
  config.scale = "exact";
  config.reinit_ratio = 0;
  return config;
}

ModelFolder upcycled(const ModelFolder& dense, const UpcycleConfig& config,
                     const std::filesystem::path& out) {
  expand::upcycle(dense, expand::plan_upcycle(dense, config), out);
  return ModelFolder::open(out);
}

/// Largest difference of the logits, relative to the largest dense one.
double logit_change(const ModelFolder& dense, const ModelFolder& moe) {
  const at::Tensor before = probe_logits(model::Transformer::load(dense), {});
  const at::Tensor after = probe_logits(model::Transformer::load(moe), {});
  return ((after - before).abs().max() / before.abs().max()).item<double>();
}

at::Tensor stored(const ModelFolder& folder, const std::string& name) {
  return model::mapped_tensor(folder.tensors.get(name));
}

}  // namespace

TEST_CASE("the dense function is kept where the plan says so", "[expand][property]") {
  const double bound = tolerance(at::kFloat).relative;
  for (const char* family : {"qwen3", "llama"}) {
    const TemporaryFolder folder;
    const ModelFolder dense = write_dense(folder / "dense", dense_json(family));
    for (const int64_t top_k : {4, 8, 12}) {
      UpcycleConfig config = keeping();
      config.top_k = top_k;
      CHECK(expand::plan_upcycle(dense, config).why_changed.empty());
      const ModelFolder moe = upcycled(dense, config, folder / concat("moe", top_k));
      INFO(family << ", top " << top_k);
      CHECK(moe.config.num_experts == 12);
      CHECK(moe.config.expert_width == kWidth / 4);
      CHECK(logit_change(dense, moe) < bound);
    }
  }
}

TEST_CASE("experts have the dtype that the dense model is stored in", "[expand]") {
  const TemporaryFolder folder;
  OrderedJson json = dense_json("qwen3");
  write_dense(folder / "dense", json);
  json["dtype"] = json["torch_dtype"] = "bfloat16";  // the weights are float32
  write_json(folder / "dense" / "config.json", json);
  const ModelFolder moe = upcycled(ModelFolder::open(folder / "dense"), keeping(), folder / "moe");
  for (const std::string& name : moe.tensors.names()) {
    INFO(name);
    CHECK(moe.tensors.get(name).dtype == model::Dtype::kF32);
  }
}

TEST_CASE("the dense function changes for each reason that the plan names", "[expand]") {
  const TemporaryFolder folder;
  const ModelFolder dense = write_dense(folder / "dense", dense_json("qwen3"));
  const auto change = [&](const char* reason, auto set) {
    UpcycleConfig config = keeping();
    set(config);
    const UpcyclePlan plan = expand::plan_upcycle(dense, config);
    REQUIRE(plan.why_changed.size() == 1);
    CHECK_THAT(plan.why_changed.front(), Contains(reason));
    CHECK(logit_change(dense, upcycled(dense, config, folder / reason)) > 1e-3);
  };
  change("scale", [](UpcycleConfig& c) { c.scale = "cube_root"; });
  change("reinit_ratio", [](UpcycleConfig& c) { c.reinit_ratio = 0.5; });
  change("router", [](UpcycleConfig& c) { c.router = "random"; });
  change("top_k", [](UpcycleConfig& c) { c.top_k = 3; });
}

TEST_CASE("experts are scaled slices with one aligned set of units redrawn", "[expand]") {
  const TemporaryFolder folder;
  const ModelFolder dense = write_dense(folder / "dense", dense_json("qwen3"));
  UpcycleConfig config = keeping();
  config.scale = "cube_root";
  config.reinit_ratio = 0.5;
  const ModelFolder moe = upcycled(dense, config, folder / "moe");
  const double scale = std::cbrt(4.0);
  for (const int64_t expert : {1, 5, 10}) {
    const int64_t begin = expert % 4 * 6;
    const auto row_changed = [&](const std::string& part) {
      const at::Tensor from = stored(dense, concat("model.layers.1.mlp.", part, ".weight"));
      const at::Tensor to =
          stored(moe, concat("model.layers.1.mlp.experts.", expert, ".", part, ".weight"));
      const int64_t dimension = part == "down_proj" ? 1 : 0;
      return (from.narrow(dimension, begin, 6) * scale - to).abs().amax(1 - dimension) > 1e-6;
    };
    const at::Tensor gate = row_changed("gate_proj");
    CHECK(gate.sum().item<int64_t>() == 3);
    CHECK(at::equal(gate, row_changed("up_proj")));
    CHECK(at::equal(gate, row_changed("down_proj")));
  }
}

TEST_CASE("what is no FFN is carried along byte for byte, and repeats", "[expand]") {
  const TemporaryFolder folder;
  const ModelFolder dense = write_dense(folder / "dense", dense_json("llama"));
  UpcycleConfig config;
  config.slices = 2;
  config.copies = 4;
  const ModelFolder moe = upcycled(dense, config, folder / "moe");
  CHECK(moe.config.family == "mixtral");
  CHECK(moe.config_json->at("a_key_nobody_knows") == "kept");
  CHECK(std::filesystem::exists(folder / "moe" / "generation_config.json"));
  int num_carried = 0;
  for (const std::string& name : dense.tensors.names()) {
    if (name.find(".mlp.") != std::string::npos) continue;
    CHECK(dense.tensors.get(name).bytes == moe.tensors.get(name).bytes);
    ++num_carried;
  }
  CHECK(num_carried == 14);
  upcycled(dense, config, folder / "again");
  CHECK(hash_folder(folder / "moe") == hash_folder(folder / "again"));
  const Json record = read_json(folder / "moe" / "upcycle.json");
  CHECK(record.at("dense_tensors_hash") == model::hash_tensors(dense.tensors));
  CHECK(record.at("config").at("seed") == 17);
}

TEST_CASE("what cannot be upcycled is refused by name", "[expand]") {
  const TemporaryFolder folder;
  const auto refuse = [&](const char* name, const OrderedJson& changes, const char* message) {
    OrderedJson json = dense_json(changes.value("model_type", "llama"));
    json.update(changes);
    const ModelFolder dense = write_dense(folder / name, json);
    CHECK_THROWS_WITH(expand::plan_upcycle(dense, keeping()), Contains(message));
  };
  refuse("bias", {{"mlp_bias", true}}, "FFN biases");
  refuse("attention", {{"attention_bias", true}}, "attention biases");
  refuse("family", {{"model_type", "qwen2"}}, "qwen2");
  refuse("width", {{"intermediate_size", 26}}, "a divisor of its intermediate width 26");
  write_tiny_base({}, folder / "moe");
  CHECK_THROWS_WITH(expand::plan_upcycle(ModelFolder::open(folder / "moe"), keeping()),
                    Contains("has experts already"));
  UpcycleConfig config = keeping();
  config.top_k = 13;
  config.scale = "some";
  Problems problems;
  config.validate(problems);
  CHECK_THROWS_WITH(problems.throw_if_any("test"), Contains("top_k") && Contains("scale"));
  config = keeping();
  config.slices = config.copies = int64_t{1} << 40;  // whose product no 63 bits hold
  Problems uncountable;
  config.validate(uncountable);
  CHECK_THROWS_WITH(uncountable.throw_if_any("test"), Contains("slices") && Contains("copies"));
  config.slices = 4;
  config.copies = 5000;
  Problems too_many;
  config.validate(too_many);
  CHECK_THROWS_WITH(too_many.throw_if_any("test"), Contains("2 to 16384 experts"));
}

}  // namespace polygraft::testing
