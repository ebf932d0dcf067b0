// tests/model/architecture/routing_test.cpp: choosing experts: order, ties, gradients, numbers that
// are not finite.
#include "core/error.h"
#include "model/architecture/moe_layer.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

using model::RouterRule;

at::Tensor ids(std::vector<int64_t> values) { return at::tensor(values, at::kLong).view({1, -1}); }

void check_against_definition(int64_t tokens, int64_t base, int64_t added, RouterRule rule) {
  const auto base_TE = leaf(random_tensor({tokens, base}, 2.0));
  const auto added_Tn = added > 0 ? leaf(random_tensor({tokens, added}, 2.0)) : at::Tensor();
  const auto routing = model::route(base_TE, added_Tn, rule);
  const auto ref_base_TE = to_reference(base_TE), ref_added_Tn = to_reference(added_Tn);
  const auto expected =
      naive_route(added > 0 ? at::cat({ref_base_TE, ref_added_Tn}, 1) : ref_base_TE, rule);
  REQUIRE(at::equal(routing.expert_TK, expected.expert_TK));
  require_close("weights", routing.weight_TK, expected.weight_TK);
  const auto d_weight_TK = random_tensor({tokens, rule.top_k});
  routing.weight_TK.backward(d_weight_TK);
  expected.weight_TK.backward(d_weight_TK.to(at::kDouble));
  require_close("d base", base_TE.grad(), ref_base_TE.grad());
  if (added > 0) require_close("d added", added_Tn.grad(), ref_added_Tn.grad());
}

}  // namespace

TEST_CASE("routing is softmax over all experts, then top-k", "[model][routing]") {
  at::manual_seed(11);
  const bool renormalize = GENERATE(true, false);
  const auto [base, added, top_k] = GENERATE(std::make_tuple(4, 0, 1), std::make_tuple(6, 3, 4),
                                             std::make_tuple(5, 0, 5), std::make_tuple(256, 16, 8));
  check_against_definition(300, base, added, {top_k, renormalize});
}

TEST_CASE("among equal scores the lower id comes first", "[model][routing]") {
  const auto scores = at::tensor({1.0F, 3.0F, 3.0F, 2.0F, 3.0F, 2.0F}).view({1, 6});
  const auto added = at::tensor({3.0F, 9.0F, 2.0F}).view({1, 3});
  REQUIRE(at::equal(model::route(scores, {}, {5, true}).expert_TK, ids({1, 2, 4, 3, 5})));
  REQUIRE(at::equal(model::route(scores, added, {4, true}).expert_TK, ids({7, 1, 2, 4})));
  const auto flat = at::zeros({1, 200});
  REQUIRE(at::equal(model::route(flat, at::zeros({1, 8}), {4, true}).expert_TK, ids({0, 1, 2, 3})));
}

TEST_CASE("an added expert far below the chosen ones changes no bit of the weights",
          "[model][routing][property]") {
  at::manual_seed(12);
  const auto base_TE = random_tensor({500, 13});
  const auto added_Tn = at::full({500, 3}, -1e4F);
  const RouterRule rule{4, GENERATE(true, false)};
  const auto alone = model::route(base_TE, {}, rule);
  const auto grown = model::route(base_TE, added_Tn, rule);
  REQUIRE(at::equal(alone.expert_TK, grown.expert_TK));
  REQUIRE(bitwise_equal(alone.weight_TK, grown.weight_TK));
}

TEST_CASE("a score that is not finite is an error that names its first token", "[model][routing]") {
  auto base_TE = at::zeros({700, 5});
  auto added_Tn = at::zeros({700, 2});
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
               -std::numeric_limits<float>::infinity());
  base_TE[650][4] = bad;
  added_Tn[417][1] = bad;
  REQUIRE_THROWS_WITH(model::route(base_TE, added_Tn, {2, true}), Catch::Contains("token 417 "));
  REQUIRE_THROWS_AS(model::route(base_TE, {}, {2, true}), NumericError);
}

TEST_CASE("choices are counted per expert, also those never chosen", "[model][routing]") {
  model::Routing routing;
  routing.expert_TK = at::tensor({0, 2, 2, 4}, at::kLong).view({2, 2});
  REQUIRE(at::equal(model::count_choices(routing, 6), at::tensor({1, 0, 2, 0, 1, 0}, at::kLong)));
}

}  // namespace polygraft::testing
