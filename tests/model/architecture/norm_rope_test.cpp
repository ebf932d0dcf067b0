// tests/model/architecture/norm_rope_test.cpp: explicit backwards of RMSNorm and rotary positions
// against float64 autograd.
#include "core/error.h"
#include "model/architecture/batch.h"
#include "model/architecture/rms_norm.h"
#include "model/architecture/rope.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {

TEST_CASE("RMSNorm and its gradients agree with float64 autograd", "[model][norm]") {
  at::manual_seed(31);
  const auto shape = GENERATE(std::vector<int64_t>{9, 24}, std::vector<int64_t>{5, 3, 8},
                              std::vector<int64_t>{1, 1});
  const bool frozen = GENERATE(true, false);
  const auto x = leaf(random_tensor(shape, 3.0));
  const auto weight = leaf(at::rand({shape.back()}) + 0.5, !frozen);
  const auto x64 = leaf(x.to(at::kDouble)), weight64 = leaf(weight.to(at::kDouble));
  const auto y = model::rms_norm(x, weight, 1e-5);
  const auto y64 = weight64 * x64 * at::rsqrt(x64.square().mean(-1, true) + 1e-5);
  require_close("y", y, y64);
  const auto d_y = random_tensor(shape);
  y.backward(d_y);
  y64.backward(d_y.to(at::kDouble));
  require_close("dx", x.grad(), x64.grad());
  REQUIRE(weight.grad().defined() == !frozen);
  if (!frozen) require_close("dw", weight.grad(), weight64.grad());
}

TEST_CASE("RMSNorm by a GPU's bodies is LibTorch's there", "[norm][device]") {
  at::manual_seed(33);
  const model::Gpu gpu = open_simulated_gpu();
  const auto shape = GENERATE(std::vector<int64_t>{0, 16}, std::vector<int64_t>{9, 24},
                              std::vector<int64_t>{5, 3, 8}, std::vector<int64_t>{3, 1096});
  const auto on_gpu = [&](const at::Tensor& x) { return x.to(gpu.device, at::kBFloat16); };
  const auto weight = on_gpu(at::rand({shape.back()}) + 0.5), d_y = on_gpu(random_tensor(shape));
  const auto x = leaf(on_gpu(random_tensor(shape, 3.0))), same_x = leaf(x.detach());
  const auto y = model::rms_norm(x, weight, 1e-5, gpu.executor.get());
  const auto expected = model::rms_norm(same_x, weight, 1e-5);
  y.backward(d_y);
  expected.backward(d_y);
  REQUIRE(y.sizes() == expected.sizes());
  require_close("y", y.cpu(), expected.cpu(), at::kBFloat16);
  require_close("dx", x.grad().cpu(), same_x.grad().cpu(), at::kBFloat16);
}

TEST_CASE("RMSNorm of a zero row is zero with a finite gradient", "[model][norm]") {
  const auto x = leaf(at::zeros({2, 8}));
  const auto y = model::rms_norm(x, at::ones({8}), 1e-6);
  y.sum().backward();
  REQUIRE(y.count_nonzero().item<int64_t>() == 0);
  REQUIRE(at::isfinite(x.grad()).all().item<bool>());
}

TEST_CASE("rotary positions turn each pair by position times frequency", "[model][rope]") {
  at::manual_seed(32);
  auto config = tiny_config();
  const auto frequencies = model::rope_frequencies(config);
  const auto table = model::rope_table(
      frequencies, model::token_positions({at::empty({8}, at::kLong), {5, 3}}), at::kFloat);
  const auto x_THC = leaf(random_tensor({8, 2, 8}));
  const auto y_THC = model::apply_rope(x_THC, table);
  for (const int64_t token : {0, 4, 5, 7}) {
    const double position = static_cast<double>(token < 5 ? token : token - 5);
    for (int64_t i = 0; i < 4; ++i) {
      const double angle =
          position * std::pow(config.rope.theta, -2.0 * static_cast<double>(i) / 8);
      const double a = x_THC[token][1][i].item<double>(), b = x_THC[token][1][i + 4].item<double>();
      REQUIRE(y_THC[token][1][i].item<double>() ==
              Approx(a * std::cos(angle) - b * std::sin(angle)).margin(1e-5));
      REQUIRE(y_THC[token][1][i + 4].item<double>() ==
              Approx(b * std::cos(angle) + a * std::sin(angle)).margin(1e-5));
    }
  }
  // A rotation's transpose is its inverse: sending y back as the gradient gives x.
  y_THC.backward(y_THC.detach());
  require_close("x", x_THC.grad(), x_THC);
}

TEST_CASE("an unknown rope type is refused by name", "[model][rope]") {
  auto config = tiny_config();
  config.rope.type = "longrope";
  REQUIRE_THROWS_WITH(model::rope_frequencies(config), Catch::Contains("longrope"));
}

}  // namespace polygraft::testing
