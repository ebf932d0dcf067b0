// tests/model/architecture/router_terms_test.cpp: language prior and load balance on scores worked
// out by hand, and what they train.
#include "model/architecture/router_terms.h"

#include <cmath>

#include "tests/model/architecture/compare.h"

namespace polygraft::testing {
namespace {

TEST_CASE("the prior loss is -log of the base's share of one softmax", "[routing]") {
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
  const at::Tensor loss = model::prior_sum(base, added, weight);
  CHECK(loss.item<double>() == Approx(expected).epsilon(1e-12));
  // d/dz_j of -log(base's share) is z_j's own probability.
  loss.backward();
  const at::Tensor probability = at::softmax(at::cat({base, added.detach()}, 1), 1);
  CHECK(
      at::allclose(added.grad(), probability.narrow(1, 4, 3) * weight.unsqueeze(1), 1e-10, 1e-12));
  // No floor: scores far below cost nothing.
  CHECK(model::prior_sum(base, added.detach() - 100.0, weight).item<double>() < 1e-12);
}

TEST_CASE("load balance is 1 when uniform and grows when one expert takes all", "[routing]") {
  const at::Tensor even = at::zeros({4, 2});
  const at::Tensor choices = at::tensor({0, 1, 0, 1}, at::kLong).view({4, 1});
  CHECK(model::load_balance_loss(even, choices, 0).item<double>() == Approx(1.0));
  const at::Tensor skewed = at::tensor({10.0f, -10.0f, 10.0f, -10.0f}).view({-1, 2});
  const at::Tensor all_first = at::zeros({2, 1}, at::kLong);
  CHECK(model::load_balance_loss(skewed, all_first, 0).item<double>() == Approx(2.0));
}

TEST_CASE("load balance over added experts ignores choices of others", "[routing]") {
  const at::Tensor added = at::zeros({2, 2});
  const at::Tensor ids = at::tensor({0, 4, 5, 1}, at::kLong).view({2, 2});
  CHECK(model::load_balance_loss(added, ids, 4).item<double>() == Approx(1.0));
  CHECK(model::load_balance_loss(added, at::zeros({2, 2}, at::kLong), 4).item<double>() == 0.0);
}

TEST_CASE("a layer without added experts has no prior, and its base alone to balance",
          "[routing]") {
  const auto base_TE = random_tensor({6, 4});
  model::RouterTerms terms{at::ones({6}), 6, /*balance_base=*/false};
  auto routing = model::route(base_TE, {}, {2, true});
  model::add_terms({base_TE, {}}, terms, routing);
  CHECK_FALSE(routing.prior_sum.defined());
  CHECK_FALSE(routing.load_balance.defined());
  terms.balance_base = true;
  model::add_terms({base_TE, {}}, terms, routing);
  CHECK_FALSE(routing.prior_sum.defined());
  CHECK(
      bitwise_equal(routing.load_balance, model::load_balance_loss(base_TE, routing.expert_TK, 0)));
}

}  // namespace
}  // namespace polygraft::testing
