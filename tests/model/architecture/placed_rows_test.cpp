// tests/model/architecture/placed_rows_test.cpp: added rows that displace spare base rows, and
// padding: losses, gradients and logits against the whole stored matrix.
#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "model/architecture/head_loss.h"
#include "model/architecture/token_nll.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"
#include "tests/model/architecture/tiny_model.h"

namespace polygraft::testing {
namespace {

using model::Mask;
using model::RowPlacement;
using model::SplitRows;
using model::Transformer;

constexpr int64_t kTokens = 600, kWidth = 12, kBase = 40;

struct Case {
  int64_t num_added;
  RowPlacement placement;
  int64_t first_added() const { return kBase - placement.num_spare; }
  int64_t num_rows() const {
    return std::max(kBase, first_added() + num_added) + placement.num_padding;
  }
};

Case any_case() {
  return GENERATE(Case{5, {8, 0, 0}}, Case{8, {8, 0, 0}}, Case{11, {8, 0, 0}}, Case{11, {8, 21, 7}},
                  Case{9, {0, 15, 0}}, Case{0, {8, 0, 0}});
}

struct Problem {
  at::Tensor hidden_TD;
  SplitRows head;
  at::Tensor targets_T;
};

Problem random_problem(const Case& of, bool train_base) {
  SplitRows head;
  head.base = leaf(random_tensor({kBase, kWidth}), train_base);
  if (of.num_added > 0) head.added = leaf(random_tensor({of.num_added, kWidth}));
  head.placement = of.placement;
  auto targets_T = at::randint(0, of.num_rows(), {kTokens}, at::kLong);
  targets_T.narrow(0, 100, 37).fill_(-1);
  return {leaf(random_tensor({kTokens, kWidth})), head, targets_T};
}

Problem in_reference(const Problem& problem) {
  const SplitRows& head = problem.head;
  return {to_reference(problem.hidden_TD),
          {to_reference(head.base), to_reference(head.added), head.placement},
          problem.targets_T};
}

at::Tensor logits(const Problem& problem) {
  return at::mm(problem.hidden_TD, stored_rows(problem.head).t());
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

/// Columns of base rows that are left in place: front and behind.
at::Tensor kept_ids(const Case& of) {
  const auto front = at::arange(of.first_added());
  const int64_t behind = of.first_added() + of.num_added;
  return behind < kBase ? at::cat({front, at::arange(behind, kBase)}) : front;
}

}  // namespace

TEST_CASE("an added token in a spare row's place is no token of the base's", "[model][head]") {
  at::manual_seed(34);
  const Case of = any_case();
  CAPTURE(of.num_added, of.placement.num_spare, of.placement.num_padding);
  const auto problem = random_problem(of, false);
  const at::NoGradGuard no_grad;
  const auto both = model::token_nll_both_ways(problem.hidden_TD, problem.targets_T, problem.head);
  const auto& targets_T = problem.targets_T;
  const auto is_added =
      (targets_T >= of.first_added()) & (targets_T < of.first_added() + of.num_added);
  const auto is_old =
      (targets_T >= 0) & ~is_added & (targets_T < problem.head.layout().first_padding());
  REQUIRE((both.masked_T.ne(0) == is_old).all().item<bool>());
  REQUIRE(is_old.any().item<bool>());
  REQUIRE(is_added.any().item<bool>() == (of.num_added > 0));
}

TEST_CASE("cross-entropy with displaced and padding rows is the stored matrix's", "[model][head]") {
  at::manual_seed(31);
  const Case of = any_case();
  CAPTURE(of.num_added, of.placement.num_spare, of.placement.num_padding);
  const auto problem = random_problem(of, GENERATE(true, false));
  const auto reference = in_reference(problem);
  const auto loss = model::cross_entropy_sum(problem.hidden_TD, problem.targets_T, problem.head);
  const auto picked = at::log_softmax(logits(reference), 1)
                          .gather(1, problem.targets_T.clamp_min(0).unsqueeze(1))
                          .squeeze(1);
  const auto nll_T = -picked * (problem.targets_T >= 0);
  const auto expected = nll_T.sum();
  require_close("loss", loss, expected);
  require_close("nll", model::token_nll(problem.hidden_TD, problem.targets_T, problem.head), nll_T);
  loss.backward();
  expected.backward();
  require_same_gradients(problem, reference);
}

TEST_CASE("KL protects the base's distribution over the rows left in place", "[model][head]") {
  at::manual_seed(32);
  const Case of = any_case();
  CAPTURE(of.num_added, of.placement.num_spare, of.placement.num_padding);
  const auto problem = random_problem(of, GENERATE(true, false));
  const auto base_hidden_TD = problem.hidden_TD.detach() + random_tensor({kTokens, kWidth}, 0.1);
  const auto loss = model::kl_to_base_sum(base_hidden_TD, problem.hidden_TD, problem.head);
  const auto reference = in_reference(problem);
  const auto kept_KD = reference.head.base.detach().index_select(0, kept_ids(of));
  const auto log_base = at::log_softmax(at::mm(base_hidden_TD.to(at::kDouble), kept_KD.t()), 1);
  const auto log_q = at::log_softmax(logits(reference), 1).index_select(1, kept_ids(of));
  const auto expected = (log_base.exp() * (log_base - log_q)).sum();
  require_close("loss", loss, expected);
  loss.backward();
  expected.backward();
  require_same_gradients(problem, reference);
}

TEST_CASE("head leak is measured against the rows left in place", "[model][head]") {
  at::manual_seed(33);
  const Case of = any_case();
  if (of.num_added == 0) return;
  const auto problem = random_problem(of, true);
  const auto leak = model::head_leak_sum(problem.hidden_TD, problem.head);
  const auto reference = in_reference(problem);
  const auto hidden_TD = reference.hidden_TD.detach();
  const auto kept_KD = reference.head.base.detach().index_select(0, kept_ids(of));
  const auto kept = at::mm(hidden_TD, kept_KD.t()),
             added = at::mm(hidden_TD, reference.head.added.t());
  const auto both = at::cat({kept, added}, 1);
  const auto expected = (at::logsumexp(both, 1) - at::logsumexp(kept, 1)).sum();
  require_close("cost", leak, expected);
  leak.backward();
  expected.backward();
  require_close("added rows", problem.head.added.grad(), reference.head.added.grad());
}

namespace {

struct Pair {
  Transformer base, expanded, stored;  ///< `stored`: the expanded model's stored matrices as a base
};

Pair random_pair(const Case& of, bool tied) {
  auto config = tiny_config();
  config.tied_embeddings = tied;
  const auto weights = lively_weights(config, 5);
  auto expanded = grown(weights, 0, of.num_added);
  expanded.embedding.placement = expanded.head.placement = of.placement;
  auto stored_config = config;
  stored_config.vocab_rows = of.num_rows();
  auto stored = expanded;
  stored.embedding = {stored_rows(expanded.embedding), {}};
  stored.head = tied ? stored.embedding : SplitRows{stored_rows(expanded.head), {}};
  return {Transformer(config, weights), Transformer(stored_config, expanded),
          Transformer(stored_config, stored)};
}

at::Tensor logits(const Transformer& model, const model::Batch& batch, Mask mask = {}) {
  return model.logits(model.hidden(batch, mask), mask);
}

}  // namespace

TEST_CASE("a model with placed rows is the model of its stored matrices", "[model][property]") {
  const Case of = any_case();
  CAPTURE(of.num_added, of.placement.num_spare, of.placement.num_padding);
  const auto [base, expanded, stored] = random_pair(of, GENERATE(true, false));
  const auto batch = random_batch({40, 24}, of.num_rows());
  const auto expected = logits(stored, batch);
  REQUIRE(expected.size(1) == of.num_rows());
  require_close("logits", logits(expanded, batch), expected);
}

TEST_CASE("masked, displaced rows are the base's again, bit for bit", "[model][property]") {
  const Case of = any_case();
  const auto [base, expanded, stored] = random_pair(of, GENERATE(true, false));
  const auto batch = random_batch({40, 24}, kBase);  // ids of displaced rows too
  const auto expected = logits(base, batch);
  REQUIRE(bitwise_equal(expected, logits(expanded, batch, Mask::all())));
  const bool displaces = of.num_added > 0 && of.placement.num_spare > 0;
  const auto read_as_added = logits(expanded, batch, Mask::all_but_embedding());
  REQUIRE(bitwise_equal(expected, read_as_added) != displaces);
}

TEST_CASE("an id beyond the stored rows is refused", "[model]") {
  const Case of = any_case();
  const auto [base, expanded, stored] = random_pair(of, false);
  const model::Batch last{at::tensor({of.num_rows() - 1}, at::kLong), {1}};
  const model::Batch beyond{at::tensor({of.num_rows()}, at::kLong), {1}};
  REQUIRE_NOTHROW(expanded.hidden(last));
  REQUIRE_THROWS_AS(expanded.hidden(beyond), ConfigError);
}

}  // namespace polygraft::testing
