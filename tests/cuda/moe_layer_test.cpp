// tests/cuda/moe_layer_test.cpp: the MoE layer on a GPU against float64 autograd, and a model of
// such layers against the plain one: the cases of tests/model/architecture/moe_on_device_test.cpp
// and device_layer_test.cpp. Exit code 77 (skipped) where there is no GPU, after the executor has
// said so.
#define CATCH_CONFIG_RUNNER
#include <c10/cuda/CUDAStream.h>

#include <catch2/catch.hpp>
#include <iostream>

#include "model/architecture/gpu.h"
#include "model/device/cuda_executor.h"
#include "model/device/device_error.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/device_model_case.h"
#include "tests/model/architecture/device_moe_case.h"

namespace polygraft::testing {

TEST_CASE("the MoE layer on a GPU agrees with float64 autograd, twice with the same bits",
          "[cuda]") {
  const auto c = GENERATE(from_range(device_moe_cases()));
  device::CudaExecutor executor(c10::cuda::getCurrentCUDAStream());
  const auto first = check_device_moe(executor, at::kCUDA, c);
  const auto second = check_device_moe(executor, at::kCUDA, c);
  for (size_t i = 0; i < first.size(); ++i) REQUIRE(bitwise_equal(first[i], second[i]));
}

TEST_CASE("a model on a GPU agrees with the plain one, twice with the same bits", "[cuda]") {
  constexpr double kTippedChoices = 0.15;  // a near tie of two experts may end otherwise
  const model::Gpu gpu = model::open_gpu();
  REQUIRE(gpu.free_bytes > 0);
  const auto first = check_device_model(gpu.executor, gpu.device, kTippedChoices);
  const auto second = check_device_model(gpu.executor, gpu.device, kTippedChoices);
  for (size_t i = 0; i < first.size(); ++i) REQUIRE(bitwise_equal(first[i], second[i]));
}

TEST_CASE("attention's gradients over many blocks of keys have the same bits each time", "[cuda]") {
  constexpr int64_t kHeads = 4, kTokens = 1500, kHeadDim = 64;
  const auto options = at::TensorOptions(model::open_gpu().device).dtype(at::kBFloat16);
  const auto q = at::randn({1, kHeads, kTokens, kHeadDim}, options).requires_grad_();
  const auto k = at::randn({1, kHeads, kTokens, kHeadDim}, options).requires_grad_();
  const auto v = at::randn({1, kHeads, kTokens, kHeadDim}, options).requires_grad_();
  const auto mask = at::zeros({kTokens, kTokens}, options);
  const bool is_masked = GENERATE(false, true);
  const auto gradients = [&] {
    for (const auto& x : {q, k, v}) x.mutable_grad() = at::Tensor();
    at::scaled_dot_product_attention(q, k, v, is_masked ? std::optional(mask) : std::nullopt, 0.0,
                                     /*is_causal=*/!is_masked)
        .square()
        .sum()
        .backward();
    return at::stack({q.grad(), k.grad(), v.grad()});
  };
  const auto first = gradients();
  for (int i = 0; i < 3; ++i) REQUIRE(at::equal(gradients(), first));
}

}  // namespace polygraft::testing

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  try {
    const polygraft::device::CudaExecutor executor(nullptr);
  } catch (const polygraft::device::DeviceError& error) {
    std::cout << "skipped: " << error.what() << "\n";
    return kSkipped;
  }
  return Catch::Session().run(argc, argv);
}
