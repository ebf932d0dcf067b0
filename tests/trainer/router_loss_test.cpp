// tests/trainer/router_loss_test.cpp: hinges on scores worked out by hand.
#include "trainer/objective/router_loss.h"

#include <catch2/catch.hpp>

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

}  // namespace
}  // namespace polygraft::trainer
