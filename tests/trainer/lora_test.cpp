// tests/trainer/lora_test.cpp: adapters change nothing at first, have autograd's gradients, and are
// merged into what is written.
#include "trainer/optim/lora.h"

#include <ATen/core/grad_mode.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "core/hash.h"
#include "core/json.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"
#include "trainer/objective/objective.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using testing::tiny_world;

TrainJob lora_job(const TemporaryFolder& run) {
  TrainJob job = testing::additions_job(run / "run");
  job.model = tiny_world().base;
  job.languages = {"cc"};
  job.train.trainable = "lora";
  job.train.lora = {.rank = 3, .alpha = 6};
  job.train.budget.reset();
  return job;
}

std::map<std::string, at::Tensor> values_by_name(model::Weights& weights) {
  std::map<std::string, at::Tensor> found;
  weights.for_each(
      [&](const std::string& name, at::Tensor& tensor) { found[name] = tensor.detach().clone(); });
  return found;
}

bool is_factor(const std::string& name) { return name.find(".lora_") != std::string::npos; }

/// Factors that are all at work: B away from zero.
void set_random_factors(const LowRankAdapters& adapters) {
  const at::NoGradGuard no_grad;
  at::manual_seed(5);
  for (const Parameter& factor : adapters.parameters()) {
    at::Tensor value = factor.value;
    value.copy_(at::randn(value.sizes()).mul_(0.1));
  }
  adapters.merge();
}

TEST_CASE("adapters with B at zero are the base, bit for bit", "[trainer][lora][property]") {
  const TemporaryFolder run;
  Trainee trainee = load_trainee(lora_job(run));
  model::Weights& weights = trainee.transformer.weights();
  const auto before = values_by_name(weights);
  const LowRankAdapters adapters(weights, {.rank = 3, .alpha = 6}, 17);
  adapters.merge();
  for (const auto& [name, value] : values_by_name(weights)) {
    INFO(name);
    CHECK(std::memcmp(value.const_data_ptr(), before.at(name).const_data_ptr(), value.nbytes()) ==
          0);
  }
}

TEST_CASE("attention and every expert are adapted, nothing else", "[trainer][lora]") {
  const TemporaryFolder run;
  Trainee trainee = load_trainee(lora_job(run));
  model::Weights& weights = trainee.transformer.weights();
  const auto before = values_by_name(weights);
  const LowRankAdapters adapters(weights, {.rank = 3, .alpha = 6}, 17);
  CHECK(adapters.parameters().size() == 2 * 2 * (4 + 2));  // A and B; layers; matrices
  set_random_factors(adapters);
  for (const auto& [name, value] : values_by_name(weights)) {
    INFO(name);
    const bool adapted = (name.find(".attention.") != std::string::npos && value.dim() == 2) ||
                         name.find("gate_up") != std::string::npos ||
                         name.find("down") != std::string::npos;
    CHECK(value.equal(before.at(name)) != adapted);
  }
}

TEST_CASE("an adapted matrix differs by alpha / rank times B A", "[trainer][lora]") {
  const TemporaryFolder run;
  Trainee trainee = load_trainee(lora_job(run));
  model::Weights& weights = trainee.transformer.weights();
  const auto before = values_by_name(weights);
  const LowRankAdapters adapters(weights, {.rank = 3, .alpha = 6}, 17);
  set_random_factors(adapters);
  std::map<std::string, at::Tensor> factors;
  for (const Parameter& factor : adapters.parameters()) factors[factor.name] = factor.value;
  const at::NoGradGuard no_grad;
  for (const std::string name : {"layers.0.attention.query", "layers.1.moe.down.base"}) {
    const at::Tensor product =
        at::matmul(factors.at(name + ".lora_b"), factors.at(name + ".lora_a"));
    CHECK(at::allclose(values_by_name(weights).at(name), before.at(name) + 2.0 * product, 1e-6,
                       1e-6));
  }
}

TEST_CASE("gradients of the factors are autograd's", "[trainer][lora]") {
  const TemporaryFolder run;
  const TrainJob job = lora_job(run);
  Trainee trainee = load_trainee(job);
  model::Weights& weights = trainee.transformer.weights();
  const auto frozen = values_by_name(weights);
  select_parameters(weights, job.train);
  const LowRankAdapters adapters(weights, job.train.lora, 17);
  set_random_factors(adapters);
  TrainingData data =
      prepare_data(job, resolve_roles(job), trainee.tokenizer, trainee.tokenizer.size());
  StepRows rows;
  rows.learned = data.learned.take(90);
  const Objective objective(trainee.transformer, trainee.tokenizer.prefix_id(), job.train);
  objective.backward(rows, Multipliers());
  adapters.take_gradients();

  // The same through the graph: W as an expression of A and B.
  std::map<std::string, at::Tensor> found, leaves;
  for (const Parameter& factor : adapters.parameters()) {
    REQUIRE(is_factor(factor.name));
    found[factor.name] = factor.value.grad().clone();
    leaves[factor.name] = factor.value.detach().clone().set_requires_grad(true);
  }
  weights.for_each([&](const std::string& name, at::Tensor& tensor) {
    if (leaves.count(name + ".lora_a") == 0) return;
    tensor = frozen.at(name) +
             2.0 * at::matmul(leaves.at(name + ".lora_b"), leaves.at(name + ".lora_a"));
  });
  objective.backward(rows, Multipliers());
  for (const auto& [name, leaf] : leaves) {
    INFO(name);
    REQUIRE(leaf.grad().defined());
    CHECK(leaf.grad().abs().max().item<double>() > 0);
    CHECK(at::allclose(found.at(name), leaf.grad(), 1e-4, 1e-6));
  }
}

TEST_CASE("a run over adapters writes a plain model, merged", "[trainer][lora][loop]") {
  const TemporaryFolder run;
  const TrainJob job = lora_job(run);
  const TrainResult result = train(job);
  const auto base = model::ModelFolder::open(tiny_world().base);
  const auto after = model::ModelFolder::open(job.output);
  CHECK(after.tensors.names() == base.tensors.names());
  CHECK(*after.config_json == *base.config_json);
  for (const std::string& name : base.tensors.names()) {
    INFO(name);
    const bool adapted = name.find("_proj") != std::string::npos;
    CHECK((after.tensors.get(name).bytes != base.tensors.get(name).bytes) == adapted);
  }
  CHECK(result.last_probe.at("aa").delta_relative != 0.0);
}

TEST_CASE("what an estimate of adapters counts is what trains", "[trainer][lora][estimate]") {
  const TemporaryFolder run;
  TrainJob job = lora_job(run);
  Trainee trainee = load_trainee(job);
  const LowRankAdapters adapters(trainee.transformer.weights(), job.train.lora, 17);
  CHECK(estimate_training(job).trainable_parameters == num_elements(adapters.parameters()));
}

}  // namespace
}  // namespace polygraft::trainer
