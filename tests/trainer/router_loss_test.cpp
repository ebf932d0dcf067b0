// tests/trainer/router_loss_test.cpp: hinges and load balance on scores worked out by hand.
#include "trainer/objective/router_loss.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace polygraft::trainer {
namespace {

at::Tensor scores(std::vector<float> values, int64_t num_columns) {
  return at::tensor(values).view({-1, num_columns});
}

TEST_CASE("the threshold is the K-th largest base score", "[trainer][router]") {
  const at::Tensor base = scores({3, 1, 2, 0, /**/ -1, -4, -2, -3}, 4);
  CHECK(selection_threshold(base, 1).equal(at::tensor({3.0f, -1.0f})));
  CHECK(selection_threshold(base, 2).equal(at::tensor({2.0f, -2.0f})));
}

TEST_CASE("keeping out costs the squared excess over threshold less margin", "[trainer][router]") {
  const at::Tensor added = scores({1.0f, 0.5f, /**/ -5.0f, 1.2f}, 2);
  const at::Tensor threshold = at::tensor({1.0f, 1.0f});
  const at::Tensor weight = at::tensor({1.0f, 10.0f});
  // token 0: (1 - 1 + 0.5)^2 + (0.5 - 1 + 0.5)^2 = 0.25; token 1: (1.2 - 1 + 0.5)^2 = 0.49
  CHECK(keep_out_sum(added, threshold, weight, 0.5).item<double>() == Approx(0.25 + 4.9));
}

TEST_CASE("keeping out pushes only rows that come too near", "[trainer][router]") {
  at::Tensor added = scores({1.0f, -3.0f}, 2).set_requires_grad(true);
  keep_out_sum(added, at::tensor({1.0f}), at::tensor({1.0f}), 0.5).backward();
  CHECK(added.grad()[0][0].item<double>() == Approx(1.0));
  CHECK(added.grad()[0][1].item<double>() == 0.0);
}

TEST_CASE("capture lifts the four highest scores over threshold plus margin", "[trainer][router]") {
  at::Tensor added = scores({2.0f, 1.0f, 0.0f, 1.5f, -9.0f}, 5).set_requires_grad(true);
  const at::Tensor loss = capture_sum(added, at::tensor({1.0f}), at::tensor({1.0f}), 0.5);
  // lacking: 2.0 -> 0, 1.5 -> 0, 1.0 -> 0.5, 0.0 -> 1.5; the fifth is free
  CHECK(loss.item<double>() == Approx((0.25 + 2.25) / 4));
  loss.backward();
  CHECK(added.grad()[0][4].item<double>() == 0.0);
  CHECK(added.grad()[0][2].item<double>() < 0.0);
}

TEST_CASE("a token of weight zero is not captured", "[trainer][router]") {
  const at::Tensor added = scores({-9.0f, /**/ -9.0f}, 1);
  const at::Tensor threshold = at::zeros({2});
  CHECK(capture_sum(added, threshold, at::tensor({0.0f, 1.0f}), 0.0).item<double>() == Approx(81));
}

TEST_CASE("the prior loss is -log of the base's share of one softmax", "[trainer][router]") {
  at::manual_seed(3);
  const at::Tensor base = at::randn({5, 4}, at::kDouble);
  at::Tensor added = at::randn({5, 3}, at::kDouble).set_requires_grad(true);
  const at::Tensor weight = at::tensor({1.0, 0.0, 2.0, 1.0, 0.5}, at::kDouble);
  double expected = 0;
  for (int64_t t = 0; t < 5; ++t) {
    double kept = 0, all = 0;
    for (int64_t e = 0; e < 4; ++e) kept += std::exp(base[t][e].item<double>());
    all = kept;
    for (int64_t j = 0; j < 3; ++j) all += std::exp(added[t][j].item<double>());
    expected -= weight[t].item<double>() * std::log(kept / all);
  }
  const at::Tensor loss = prior_sum(base, added, weight);
  CHECK(loss.item<double>() == Approx(expected).epsilon(1e-12));
  // d/dz_j of -log(base's share) is z_j's own probability.
  loss.backward();
  const at::Tensor probability = at::softmax(at::cat({base, added.detach()}, 1), 1);
  CHECK(
      at::allclose(added.grad(), probability.narrow(1, 4, 3) * weight.unsqueeze(1), 1e-10, 1e-12));
  // No floor: scores far below cost nothing.
  CHECK(prior_sum(base, added.detach() - 100.0, weight).item<double>() < 1e-12);
}

TEST_CASE("load balance is 1 when uniform and grows when one expert takes all",
          "[trainer][router]") {
  const at::Tensor even = at::zeros({4, 2});
  const at::Tensor choices = at::tensor({0, 1, 0, 1}, at::kLong).view({4, 1});
  CHECK(load_balance_loss(even, choices, 0).item<double>() == Approx(1.0));
  const at::Tensor skewed = scores({10, -10, 10, -10}, 2);
  const at::Tensor all_first = at::zeros({2, 1}, at::kLong);
  CHECK(load_balance_loss(skewed, all_first, 0).item<double>() == Approx(2.0));
}

TEST_CASE("load balance over added experts ignores choices of others", "[trainer][router]") {
  const at::Tensor added = at::zeros({2, 2});
  const at::Tensor ids = at::tensor({0, 4, 5, 1}, at::kLong).view({2, 2});
  CHECK(load_balance_loss(added, ids, 4).item<double>() == Approx(1.0));
  CHECK(load_balance_loss(added, at::zeros({2, 2}, at::kLong), 4).item<double>() == 0.0);
}

}  // namespace
}  // namespace polygraft::trainer
