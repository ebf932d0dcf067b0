// tests/model/architecture/device_layer_test.cpp: the transformer as it runs on a GPU, which is
// simulated.
#include "model/architecture/device_layer.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "model/architecture/gpu.h"
#include "model/architecture/transformer.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/device_model_case.h"
#include "tests/model/architecture/tiny_model.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {
namespace {

std::vector<at::Tensor> check_model(device::ThreadOrder order) {
  constexpr double kRounding = 0.03;
  const model::Gpu gpu = open_simulated_gpu(0, order);
  return check_device_model(gpu.executor, gpu.device, kRounding);
}

TEST_CASE("a model through the device's layers agrees with the plain one in bfloat16", "[device]") {
  const auto forward = check_model(device::ThreadOrder::kForward);
  const auto shuffled = check_model(device::ThreadOrder::kShuffled);
  for (size_t i = 0; i < forward.size(); ++i) REQUIRE(bitwise_equal(forward[i], shuffled[i]));
}

TEST_CASE("a bank has the added experts' values as of the last fill", "[device]") {
  const at::NoGradGuard no_grad;
  auto config = tiny_config();
  config.expert_width = 24;
  const auto weights = grown(lively_weights(config, 5), 3, 5);
  const model::Gpu gpu = open_simulated_gpu();
  auto model = model::Transformer(config, weights).on_device(gpu.device, gpu.executor);
  const auto batch = random_batch({12}, config.vocab_rows);
  const auto before = model.hidden(batch);
  for (auto& layer : model.weights().layers) layer.moe.down.added.mul_(3);
  REQUIRE(bitwise_equal(model.hidden(batch), before));
  model.weights().fill_banks();
  REQUIRE_FALSE(bitwise_equal(model.hidden(batch), before));
  REQUIRE(bitwise_equal(model.weights().layers[0].moe.down.bank.narrow(0, 0, 3),
                        model.weights().layers[0].moe.down.added.to(at::kBFloat16)));
}

#ifndef POLYGRAFT_WITH_CUDA
TEST_CASE("a build without CUDA says so when a GPU is asked for", "[device]") {
  REQUIRE_THROWS_AS(model::open_gpu(), ConfigError);
}
#endif

}  // namespace
}  // namespace polygraft::testing
