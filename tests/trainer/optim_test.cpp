// tests/trainer/optim_test.cpp: learning rates by step, and AdamW against torch.optim.AdamW.
#include <catch2/catch.hpp>
#include <cmath>

#include "trainer/optim/adamw.h"
#include "trainer/optim/schedule.h"

namespace polygraft::trainer {
namespace {

OptimizerConfig optimizer_config() {
  OptimizerConfig config;
  config.learning_rate = 0.01;
  config.weight_decay = 0.1;
  config.max_grad_norm = 1.0;
  return config;
}

TEST_CASE("warm-up ends at the peak and the cosine at its final fraction", "[trainer][schedule]") {
  OptimizerConfig config = optimizer_config();
  config.warmup_fraction = 0.2;
  config.final_fraction = 0.05;
  CHECK(learning_rate_at(config, 0, 10) == Approx(0.005));
  CHECK(learning_rate_at(config, 1, 10) == Approx(0.01));
  CHECK(learning_rate_at(config, 5, 10) == Approx(0.01 * (0.05 + 0.95 * 0.5)));
  CHECK(learning_rate_at(config, 9, 10) == Approx(0.0005));
  for (int64_t step = 2; step < 10; ++step) {
    CHECK(learning_rate_at(config, step, 10) < learning_rate_at(config, step - 1, 10));
  }
}

TEST_CASE("a constant schedule stays at the peak after warm-up", "[trainer][schedule]") {
  OptimizerConfig config = optimizer_config();
  config.schedule = "constant";
  config.warmup_fraction = 0.0;
  CHECK(learning_rate_at(config, 0, 1) == 0.01);
  CHECK(learning_rate_at(config, 999, 1000) == 0.01);
}

TEST_CASE("steps are tokens over batch tokens, rounded up", "[trainer][schedule]") {
  TrainConfig config;
  config.batch_tokens = 100;
  config.tokens = 101;
  CHECK(count_steps(config) == 2);
  config.tokens = 100;
  CHECK(count_steps(config) == 1);
}

/// One row per step: gradient norm before clipping, then the matrix' and the vector's values.
/// Made with torch 2.15.0:
///   w = Parameter([[0.5, -1.0], [2.0, 0.25]]); b = Parameter([0.1, -0.2])
///   opt = AdamW([{params: [w], weight_decay: 0.1}, {params: [b], weight_decay: 0, lr: 0.005}],
///   lr=0.01, betas=(0.9, 0.95)) for step in 1..5: loss = (w*step).sin().sum() + (w**2).sum() +
///   (b**3).sum(); loss.backward();
///                     clip_grad_norm_([w, b], 1.0); opt.step()
constexpr double kReference[5][7] = {
    {4.5467615, 0.4895000, -0.9890000, 1.9880000, 0.2397500, 0.0950000, -0.2050000},
    {4.9081111, 0.4790074, -0.9782926, 1.9762403, 0.2296109, 0.0900319, -0.2099977},
    {8.9040117, 0.4693543, -0.9674833, 1.9643962, 0.2195560, 0.0853603, -0.2148115},
    {6.9699783, 0.4616624, -0.9566832, 1.9526201, 0.2094455, 0.0807528, -0.2196526},
    {4.1923919, 0.4606289, -0.9460558, 1.9431555, 0.1995260, 0.0760506, -0.2244990}};

TEST_CASE("five clipped AdamW steps equal torch.optim.AdamW's", "[trainer][adamw]") {
  at::Tensor w = at::tensor({0.5f, -1.0f, 2.0f, 0.25f}).view({2, 2}).set_requires_grad(true);
  at::Tensor b = at::tensor({0.1f, -0.2f}).set_requires_grad(true);
  const Parameters parameters = {{"w", w, 1.0, true}, {"b", b, 0.5, false}};
  AdamW optimizer(parameters, optimizer_config());
  for (int step = 1; step <= 5; ++step) {
    ((w * step).sin().sum() + w.pow(2).sum() + b.pow(3).sum()).backward();
    const double* expected = kReference[step - 1];
    CHECK(clip_gradients(parameters, 1.0) == Approx(expected[0]).epsilon(1e-6));
    optimizer.step(0.01);
    clear_gradients(parameters);
    const at::Tensor values = at::cat({w.detach().flatten(), b.detach()});
    for (int i = 0; i < 6; ++i) {
      CHECK(values[i].item<double>() == Approx(expected[i + 1]).margin(2e-7));
    }
  }
  CHECK(optimizer.num_updates() == 5);
}

TEST_CASE("gradients inside the norm are not touched, and 0 never clips", "[trainer][adamw]") {
  at::Tensor w = at::zeros({2}).set_requires_grad(true);
  const Parameters parameters = {{"w", w}};
  w.mutable_grad() = at::tensor({3.0f, 4.0f});
  CHECK(clip_gradients(parameters, 10.0) == Approx(5.0));
  CHECK(w.grad()[0].item<float>() == 3.0f);
  CHECK(clip_gradients(parameters, 0.0) == Approx(5.0));
  CHECK(w.grad()[1].item<float>() == 4.0f);
  CHECK(clip_gradients(parameters, 1.0) == Approx(5.0));
  CHECK(w.grad().norm().item<double>() == Approx(1.0));
}

TEST_CASE("a gradient's norm is taken block by block", "[trainer][adamw]") {
  at::Tensor w = at::zeros({2 * kBlockElements + 4}).set_requires_grad(true);
  at::Tensor idle = at::zeros({3}).set_requires_grad(true);
  at::Tensor v = at::zeros({1}).set_requires_grad(true);
  w.mutable_grad() = at::ones_like(w);
  v.mutable_grad() = at::tensor({3.0f});
  const Parameters parameters = {{"w", w}, {"idle", idle}, {"v", v}};
  const double side = std::sqrt(static_cast<double>(kBlockElements));
  CHECK(block_norms(parameters) == std::vector<double>{side, side, 2.0, 0.0, 3.0});
  const double norm = std::sqrt(2.0 * kBlockElements + 4 + 9);
  CHECK(clip_gradients(parameters, norm / 2) == norm);
  CHECK(v.grad().item<double>() == Approx(1.5));
  CHECK(w.grad()[kBlockElements].item<double>() == Approx(0.5));
}

TEST_CASE("a tensor without a gradient neither moves nor decays", "[trainer][adamw]") {
  at::Tensor w = at::ones({2, 2}).set_requires_grad(true);
  at::Tensor idle = at::ones({2, 2}).set_requires_grad(true);
  AdamW optimizer({{"w", w, 1.0, true}, {"idle", idle, 1.0, true}}, optimizer_config());
  w.mutable_grad() = at::ones({2, 2});
  optimizer.step(0.01);
  CHECK(idle.equal(at::ones({2, 2})));
  CHECK_FALSE(w.equal(at::ones({2, 2})));
}

TEST_CASE("resetting forgets moments and the step count", "[trainer][adamw]") {
  at::Tensor w = at::ones({2}).set_requires_grad(true);
  AdamW optimizer({{"w", w}}, optimizer_config());
  w.mutable_grad() = at::ones({2});
  optimizer.step(0.01);
  optimizer.reset();
  CHECK(optimizer.num_updates() == 0);
  CHECK(optimizer.first_moments()[0].count_nonzero().item<int64_t>() == 0);
  CHECK(optimizer.second_moments()[0].count_nonzero().item<int64_t>() == 0);
}

}  // namespace
}  // namespace polygraft::trainer
