// tests/model/architecture/token_nll_test.cpp: losses by blocks of a vocabulary of several blocks,
// with rows that are displaced across their borders.
#include "model/architecture/token_nll.h"

#include <ATen/core/grad_mode.h>

#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

using model::SplitRows;

constexpr int64_t kTokens = 600, kWidth = 12, kBase = 5000;

struct Case {
  int64_t num_added, num_spare, num_padding;
};

Case any_case() {
  // displaced: none; within a block; over a border; whole blocks; all behind the first one
  return GENERATE(Case{9, 0, 0}, Case{30, 700, 0}, Case{300, 1000, 13}, Case{2500, 3000, 0},
                  Case{3100, 2952, 40});
}

struct Problem {
  SplitRows head;
  at::Tensor hidden_TD = random_tensor({kTokens, kWidth});

  explicit Problem(const Case& of)
      : head{random_tensor({kBase, kWidth}),
             random_tensor({of.num_added, kWidth}),
             {of.num_spare, of.num_padding, kBase - of.num_spare - 1}} {}
};

at::Tensor random_targets(int64_t num_rows) {
  return at::randint(0, num_rows, {kTokens}, at::kLong);
}

}  // namespace

TEST_CASE("token losses by blocks of rows are those of the stored matrix", "[model][head]") {
  at::manual_seed(41);
  const at::NoGradGuard no_grad;
  const Case of = any_case();
  CAPTURE(of.num_added, of.num_spare, of.num_padding);
  const Problem problem(of);
  const auto& [head, hidden_TD] = problem;
  const auto targets_T = random_targets(head.layout().num_rows());
  const SplitRows reference{to_reference(head.base), to_reference(head.added), head.placement};
  const auto logits_TN = at::mm(to_reference(hidden_TD), stored_rows(reference).t());
  const auto expected_T =
      -at::log_softmax(logits_TN, 1).gather(1, targets_T.unsqueeze(1)).squeeze(1);
  require_close("nll", model::token_nll(hidden_TD, targets_T, head), expected_T);
}

TEST_CASE("with added rows masked, blocks have the base's bits", "[model][head][property]") {
  at::manual_seed(42);
  const at::NoGradGuard no_grad;
  const Case of = any_case();
  CAPTURE(of.num_added, of.num_spare, of.num_padding);
  const Problem problem(of);
  const auto& [head, hidden_TD] = problem;
  const auto targets_T = random_targets(kBase - of.num_spare);
  const auto base_T = model::token_nll(hidden_TD, targets_T, {head.base, {}});
  REQUIRE(bitwise_equal(model::token_nll(hidden_TD, targets_T, head, true), base_T));
  const auto both = model::token_nll_both_ways(hidden_TD, targets_T, head);
  REQUIRE(bitwise_equal(both.masked_T, base_T));
  REQUIRE(bitwise_equal(both.all_T, model::token_nll(hidden_TD, targets_T, head)));
  REQUIRE_FALSE(bitwise_equal(both.all_T, base_T));
}

}  // namespace polygraft::testing
