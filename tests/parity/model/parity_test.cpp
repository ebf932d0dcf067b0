// tests/parity/model/parity_test.cpp: our transformer against transformers' own numbers: logits,
// loss, every gradient, in float32 and bfloat16. The numbers come from make_fixtures.py: committed
// ones, or (environment variable POLYGRAFT_PARITY_FIXTURES) ones made a moment ago, with the models
// as Hugging Face folders beside them.
#include <cstdlib>

#include "core/hash.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/stored_tensors.h"
#include "model/checkpoint/model_folder.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/architecture/compare.h"
#include "tests/parity/model/fixture.h"
#include "trainer/optim/adamw.h"

namespace polygraft::parity {
namespace {

using model::Transformer;
using testing::require_close;

std::filesystem::path fixture_folder() {
  const char* folder = std::getenv("POLYGRAFT_PARITY_FIXTURES");
  return folder != nullptr ? folder : POLYGRAFT_PARITY_COMMITTED;
}

/// From the folder where there is one, so that reading is part of what is compared; else from the
/// formula.
Transformer build(const Fixture& fixture, at::ScalarType dtype) {
  if (!std::filesystem::exists(fixture.folder))
    return {fixture.config, formula_weights(fixture, dtype)};
  const auto folder = model::ModelFolder::open(fixture.folder);
  REQUIRE(folder.layout == fixture.layout);
  return {folder.config, model::load_weights(folder, dtype)};  // every tensor trains
}

at::Tensor mean_loss(const Fixture& fixture, const Transformer& model,
                     const at::Tensor& hidden_TD) {
  const auto sum = model::cross_entropy_sum(hidden_TD, fixture.targets_T, model.weights().head);
  return sum / fixture.num_targets;
}

/// The gradients of the model's tensors, in the shape of its weights, so that they can be visited
/// by stored name.
model::Weights gradients_of(model::Weights weights) {
  weights.for_each([](const std::string& name, at::Tensor& tensor) {
    INFO(name);
    REQUIRE(tensor.grad().defined());
    tensor = tensor.grad();
  });
  return weights;
}

void compare(const Fixture& fixture, at::ScalarType dtype) {
  auto model = build(fixture, dtype);
  model.weights().for_each(
      [](const std::string&, at::Tensor& tensor) { tensor.set_requires_grad(true); });
  const Expected& expected = fixture.expected(dtype);
  const auto hidden_TD = model.hidden(fixture.batch);
  require_close("logits", model.logits(hidden_TD), expected.logits_TV, dtype);
  const auto loss = mean_loss(fixture, model, hidden_TD);
  require_close("loss", loss, at::scalar_tensor(expected.loss), dtype);
  loss.backward();
  size_t num_compared = 0;
  auto gradients = gradients_of(model.weights());
  model::for_each_stored_tensor(gradients, model.config(), fixture.layout,
                                [&](const std::string& name, std::vector<at::Tensor>& parts) {
                                  INFO("gradient of " << name);
                                  REQUIRE(expected.gradients.count(name) == 1);
                                  require_close(name, parts.at(0).flatten(),
                                                expected.gradients.at(name), dtype);
                                  ++num_compared;
                                });
  REQUIRE(num_compared == expected.gradients.size());
}

}  // namespace

TEST_CASE("logits, loss and every gradient are those of transformers", "[parity][model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  for (const Fixture& fixture : read_fixtures(fixture_folder())) {
    INFO(fixture.name << " in " << at::toString(dtype));
    compare(fixture, dtype);
  }
}

TEST_CASE("a folder that is read and written again has the same bytes", "[parity][model]") {
  const auto dtype = GENERATE(model::Dtype::kF32, model::Dtype::kF16, model::Dtype::kBF16);
  for (const Fixture& fixture : read_fixtures(fixture_folder())) {
    INFO(fixture.name << " in " << model::torch_dtype_name(dtype));
    const testing::TemporaryFolder scratch;
    model::ModelConfig config = fixture.config;
    config.dtype = dtype;
    const auto write = [&](const model::Weights& weights, const std::string& name) {
      std::filesystem::create_directories(scratch / name);
      model::write_weights(weights, config, fixture.layout, scratch / name);
      write_json(scratch / name / "config.json", fixture.config_json);
      return model::ModelFolder::open(scratch / name);
    };
    const auto first = write(formula_weights(fixture, at::kFloat), "first");
    REQUIRE(first.layout == fixture.layout);
    REQUIRE(first.config.dtype == dtype);
    const auto second = write(model::load_weights(first, at::kFloat), "second");
    REQUIRE(sha256_file(scratch / "first" / "model.safetensors") ==
            sha256_file(scratch / "second" / "model.safetensors"));
    if (dtype != model::Dtype::kF32 || !std::filesystem::exists(fixture.folder)) continue;
    // What transformers wrote, tensor by tensor under its own names.
    const auto theirs = model::ModelFolder::open(fixture.folder);
    REQUIRE(model::hash_tensors(theirs.tensors) == model::hash_tensors(first.tensors));
  }
}

TEST_CASE("ten AdamW steps follow torch's", "[parity][model]") {
  const auto dtype = GENERATE(at::kFloat, at::kBFloat16);
  for (const Fixture& fixture : read_fixtures(fixture_folder())) {
    INFO(fixture.name << " in " << at::toString(dtype));
    const std::vector<double>& expected =
        dtype == at::kFloat ? fixture.adamw_losses : fixture.bfloat16_adamw_losses;
    auto model = build(fixture, dtype);
    trainer::TrainConfig config;
    config.trainable = "all";
    config.optimizer.router_learning_rate_scale = 1.0;
    config.optimizer.weight_decay = fixture.weight_decay;
    const auto parameters = trainer::select_parameters(model.weights(), config);
    trainer::AdamW optimizer(parameters, config.optimizer);
    std::vector<double> losses;
    for (size_t step = 0; step < expected.size(); ++step) {
      trainer::clear_gradients(parameters);
      const auto loss = mean_loss(fixture, model, model.hidden(fixture.batch));
      loss.backward();
      losses.push_back(loss.item<double>());
      if (step + 1 < expected.size()) optimizer.step(fixture.learning_rate);
    }
    REQUIRE(losses.size() == 11);
    require_close("losses", at::tensor(losses, at::kDouble), at::tensor(expected, at::kDouble),
                  dtype);
  }
}

}  // namespace polygraft::parity
