// tests/model/architecture/moe_on_device_test.cpp: the device's MoE layer on a simulated GPU.
#include "tests/model/architecture/moe_on_device.h"

#include "core/error.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/device_moe_case.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {

TEST_CASE("the device's MoE layer agrees with float64 autograd in every thread order", "[device]") {
  const auto c = GENERATE(from_range(device_moe_cases()));
  std::vector<std::vector<at::Tensor>> results;
  for (const auto order : {device::ThreadOrder::kForward, device::ThreadOrder::kReverse,
                           device::ThreadOrder::kShuffled}) {
    const model::Gpu gpu = open_simulated_gpu(0, order);
    results.push_back(check_device_moe(*gpu.executor, gpu.device, c));
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    REQUIRE(bitwise_equal(results[0][i], results[1][i]));
    REQUIRE(bitwise_equal(results[0][i], results[2][i]));
  }
}

TEST_CASE("a GPU without grouped products multiplies group by group, and waits once", "[device]") {
  const auto c = GENERATE(from_range(device_moe_cases()));
  const model::Gpu with = open_simulated_gpu();
  const model::Gpu without = open_simulated_gpu(0, device::ThreadOrder::kForward, false);
  const WaitWatch waits;
  const auto grouped = check_device_moe(*with.executor, with.device, c);
  const size_t waited = waits.seen().size();
  const auto one_by_one = check_device_moe(*without.executor, without.device, c);
  CHECK(waits.seen().size() == 2 * waited + 1);
  for (size_t i = 0; i < grouped.size(); ++i) {
    require_close("result", one_by_one[i], grouped[i], at::kBFloat16);
  }
}

TEST_CASE("a width that is no multiple of eight is refused on the device", "[device]") {
  const model::Gpu gpu = open_simulated_gpu();
  const DeviceMoeCase c{
      .tokens = 4, .width = 20, .expert_width = 8, .base = 3, .added = 0, .top_k = 1};
  REQUIRE_THROWS_AS(check_device_moe(*gpu.executor, gpu.device, c), ConfigError);
}

TEST_CASE("an empty batch passes through the device's MoE layer", "[device]") {
  const model::Gpu gpu = open_simulated_gpu();
  const auto options = at::TensorOptions(gpu.device).dtype(at::kBFloat16);
  const auto bfloat16 = [&](at::IntArrayRef shape) { return at::ones(shape, options); };
  const model::DeviceMoe layer{bfloat16({3, 16}),
                               bfloat16({2, 16}),
                               {bfloat16({5, 16, 16}), bfloat16({5, 16, 8}), 2},
                               {2, true}};
  model::DeviceMoeSaved saved;
  const auto x_TD = bfloat16({0, 16});
  REQUIRE(model::forward_on_device(*gpu.executor, layer, x_TD, {}, saved).sizes() == x_TD.sizes());
  const auto gradients = model::backward_on_device(*gpu.executor, layer, saved, {x_TD});
  REQUIRE(gradients.d_x_TD.sizes() == x_TD.sizes());
  REQUIRE(at::equal(gradients.d_gate_up_added_nGD, at::zeros({2, 16, 16}, options)));
}

}  // namespace polygraft::testing
