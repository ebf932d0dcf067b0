// tests/model/architecture/head_loss_test.cpp: losses in chunks against their definitions in
// float64 autograd.
#include "model/architecture/head_loss.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "model/architecture/token_nll.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/large_allocations.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

using model::SplitRows;

constexpr int64_t kTokens = 1100;  // more than two chunks, and the last one not full
constexpr int64_t kWidth = 12;

struct Problem {
  at::Tensor hidden_TD;
  SplitRows head;
  at::Tensor targets_T;
};

Problem random_problem(int64_t base, int64_t added, bool train_base, bool train_hidden = true) {
  const auto rows = [](int64_t count, bool train) {
    return leaf(random_tensor({count, kWidth}), train);
  };
  auto targets_T = at::randint(0, base + added, {kTokens}, at::kLong);
  targets_T.narrow(0, 100, 37).fill_(-1);
  return {leaf(random_tensor({kTokens, kWidth}), train_hidden),
          {rows(base, train_base), added > 0 ? rows(added, true) : at::Tensor()},
          targets_T};
}

Problem in_reference(const Problem& problem) {
  return {to_reference(problem.hidden_TD),
          {to_reference(problem.head.base), to_reference(problem.head.added)},
          problem.targets_T};
}

at::Tensor logits(const Problem& problem) {
  return at::mm(problem.hidden_TD, all_rows(problem.head).t());
}

at::Tensor naive_nll(const Problem& problem) {
  const auto log_p = at::log_softmax(logits(problem), 1);
  const auto picked = -log_p.gather(1, problem.targets_T.clamp_min(0).unsqueeze(1)).squeeze(1);
  return picked * (problem.targets_T >= 0);
}

void require_same_gradients(const Problem& problem, const Problem& reference) {
  const auto same = [](const std::string& what, const at::Tensor& actual,
                       const at::Tensor& expected) {
    if (!actual.defined() || !actual.requires_grad()) return;
    INFO(what);
    REQUIRE(actual.grad().defined());
    require_close(what, actual.grad(), expected.grad());
  };
  same("hidden", problem.hidden_TD, reference.hidden_TD);
  same("base rows", problem.head.base, reference.head.base);
  same("added rows", problem.head.added, reference.head.added);
}

}  // namespace

TEST_CASE("cross-entropy and its gradients agree with float64 autograd", "[model][head]") {
  at::manual_seed(21);
  const auto [base, added, train_base] = GENERATE(
      std::make_tuple(50, 0, true), std::make_tuple(50, 9, false), std::make_tuple(50, 9, true));
  const auto problem = random_problem(base, added, train_base);
  const auto reference = in_reference(problem);
  const auto loss = model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head);
  const auto expected = naive_nll(reference).sum();
  require_close("loss", loss, expected);
  (loss * 0.37).backward();
  (expected * 0.37).backward();
  require_same_gradients(problem, reference);
  if (!train_base) REQUIRE_FALSE(problem.head.base.grad().defined());
}

TEST_CASE("token losses are float64, zero where not scored, and sum to the loss", "[model][head]") {
  at::manual_seed(22);
  const auto problem = random_problem(40, 6, false);
  const auto nll_T = model::token_nll(problem.hidden_TD, problem.targets_T, problem.head);
  REQUIRE(nll_T.scalar_type() == at::kDouble);
  REQUIRE_FALSE(nll_T.requires_grad());
  require_close("nll", nll_T, naive_nll(in_reference(problem)));
  REQUIRE(nll_T.narrow(0, 100, 37).count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("masking the added rows gives the base's losses bit for bit", "[model][head][property]") {
  at::manual_seed(23);
  auto problem = random_problem(40, 6, false);
  problem.targets_T.clamp_max_(39);
  const auto masked =
      model::token_nll(problem.hidden_TD, problem.targets_T, problem.head, /*mask_added=*/true);
  const auto base = model::token_nll(problem.hidden_TD, problem.targets_T, {problem.head.base, {}});
  const auto open = model::token_nll(problem.hidden_TD, problem.targets_T, problem.head);
  REQUIRE(bitwise_equal(masked, base));
  REQUIRE_FALSE(bitwise_equal(masked, open));
}

TEST_CASE("both heads at once give the bits of one after the other", "[model][head][property]") {
  at::manual_seed(28);
  const auto problem = random_problem(40, 6, false);
  const auto both = model::token_nll_both_ways(problem.hidden_TD, problem.targets_T, problem.head);
  REQUIRE(bitwise_equal(both.all_T,
                        model::token_nll(problem.hidden_TD, problem.targets_T, problem.head)));
  const auto old_targets_T = problem.targets_T.masked_fill(problem.targets_T >= 40, -1);
  REQUIRE_FALSE(bitwise_equal(old_targets_T, problem.targets_T));
  REQUIRE(bitwise_equal(both.masked_T,
                        model::token_nll(problem.hidden_TD, old_targets_T, problem.head, true)));
}

TEST_CASE("a target without a row is refused", "[model][head]") {
  at::manual_seed(24);
  auto problem = random_problem(40, 6, false);
  problem.targets_T[3] = 44;
  REQUIRE_NOTHROW(model::token_nll(problem.hidden_TD, problem.targets_T, problem.head));
  REQUIRE_THROWS_AS(model::token_nll(problem.hidden_TD, problem.targets_T, problem.head, true),
                    ConfigError);
  problem.targets_T[3] = 46;
  REQUIRE_THROWS_AS(model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head),
                    ConfigError);
}

TEST_CASE("KL to the base and its gradients agree with float64 autograd", "[model][head]") {
  at::manual_seed(25);
  const bool train_base = GENERATE(true, false);
  const int64_t added = GENERATE(0, 8);
  const auto problem = random_problem(45, added, train_base);
  const auto base_hidden_TD = problem.hidden_TD.detach() + random_tensor({kTokens, kWidth}, 0.1);
  const auto loss = model::kl_to_base_sum(base_hidden_TD, problem.hidden_TD, problem.head);
  const auto reference = in_reference(problem);
  const auto log_base =
      at::log_softmax(at::mm(base_hidden_TD.to(at::kDouble), reference.head.base.detach().t()), 1);
  const auto log_q = at::log_softmax(logits(reference), 1).narrow(1, 0, 45);
  const auto expected = (log_base.exp() * (log_base - log_q)).sum();
  require_close("loss", loss, expected);
  loss.backward();
  expected.backward();
  require_same_gradients(problem, reference);
}

TEST_CASE("KL of a model to itself is zero and has no gradient", "[model][head]") {
  at::manual_seed(26);
  const auto problem = random_problem(45, 0, false);
  const auto loss =
      model::kl_to_base_sum(problem.hidden_TD.detach(), problem.hidden_TD, problem.head);
  REQUIRE(loss.item<float>() == 0);
  loss.backward();
  REQUIRE(problem.hidden_TD.grad().count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("head leak: cost and gradient to the added rows alone", "[model][head]") {
  at::manual_seed(27);
  const auto problem = random_problem(45, 7, true);
  const auto leak = model::head_leak_sum(problem.hidden_TD, problem.head);
  auto reference = in_reference(problem);
  reference.hidden_TD = reference.hidden_TD.detach();
  reference.head.base = reference.head.base.detach();
  const auto all = logits(reference);
  const auto expected = (at::logsumexp(all, 1) - at::logsumexp(all.narrow(1, 0, 45), 1)).sum();
  require_close("cost", leak, expected);
  leak.backward();
  expected.backward();
  require_close("added rows", problem.head.added.grad(), reference.head.added.grad());
  REQUIRE_FALSE(problem.hidden_TD.grad().defined());
  REQUIRE_FALSE(problem.head.base.grad().defined());
}

TEST_CASE("with grad mode off, losses carry no graph", "[model][head]") {
  at::manual_seed(28);
  const auto problem = random_problem(45, 7, true);
  const auto recorded =
      model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head);
  at::NoGradGuard no_grad;
  const auto plain = model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head);
  REQUIRE(recorded.requires_grad());
  REQUIRE_FALSE(plain.requires_grad());
  REQUIRE(bitwise_equal(recorded, plain));
}

TEST_CASE("the gradient of the head is scaled where it is", "[model][head]") {
  at::manual_seed(29);
  const auto problem = random_problem(4000, 0, true);
  const auto loss = model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head);
  const LargeAllocations large(problem.head.base.nbytes());
  (loss / 3).backward();
  REQUIRE(problem.head.base.grad().defined());
  CHECK(large.count() == 0);
}

}  // namespace polygraft::testing
