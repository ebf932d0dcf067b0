// tests/model/architecture/moe_experts_test.cpp: the experts' forward and explicit backward against
// float64 autograd.
#include <ATen/core/grad_mode.h>

#include "model/architecture/moe_layer.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

using model::Routing;
using model::SplitRows;

struct Shape {
  int64_t tokens, width, expert_width, base, added, top_k;
};
struct Trainable {
  bool x = true, weight = true, base = false, added = true;
};

struct Problem {
  at::Tensor x_TD;
  Routing routing;
  SplitRows gate_up, down;
  at::Tensor d_out_TD;
};

SplitRows random_bank(int64_t base, int64_t added, at::IntArrayRef row, Trainable trainable) {
  const auto rows = [&](int64_t count, bool requires_grad) {
    return leaf(random_tensor({count, row[0], row[1]}, 0.3), requires_grad);
  };
  return {rows(base, trainable.base), added > 0 ? rows(added, trainable.added) : at::Tensor()};
}

/// K different experts a token, drawn at random from the first `num_reachable`.
at::Tensor random_choices(int64_t tokens, int64_t num_reachable, int64_t top_k) {
  const auto order = at::argsort(at::rand({tokens, num_reachable}), /*stable=*/true, 1);
  return order.narrow(1, 0, top_k).contiguous();
}

Problem random_problem(const Shape& shape, Trainable trainable) {
  Problem problem;
  problem.x_TD = leaf(random_tensor({shape.tokens, shape.width}), trainable.x);
  problem.routing.weight_TK = leaf(at::rand({shape.tokens, shape.top_k}), trainable.weight);
  problem.routing.expert_TK = random_choices(shape.tokens, shape.base + shape.added, shape.top_k);
  problem.gate_up =
      random_bank(shape.base, shape.added, {2 * shape.expert_width, shape.width}, trainable);
  problem.down = random_bank(shape.base, shape.added, {shape.width, shape.expert_width}, trainable);
  problem.d_out_TD = random_tensor({shape.tokens, shape.width});
  return problem;
}

Problem in_reference(const Problem& problem) {
  const auto bank = [](const SplitRows& rows) {
    return SplitRows{to_reference(rows.base), to_reference(rows.added)};
  };
  return {to_reference(problem.x_TD),
          {to_reference(problem.routing.weight_TK), problem.routing.expert_TK},
          bank(problem.gate_up),
          bank(problem.down),
          problem.d_out_TD.to(at::kDouble)};
}

void require_same_gradient(const std::string& what, const at::Tensor& actual,
                           const at::Tensor& expected) {
  if (!actual.defined()) return;
  INFO(what);
  REQUIRE(actual.grad().defined() == actual.requires_grad());
  if (!actual.requires_grad()) return;
  const auto reference = expected.grad().defined() ? expected.grad() : at::zeros_like(expected);
  require_close(what, actual.grad(), reference);
}

void check(const Problem& problem, bool silence_added = false) {
  const auto y_TD = model::moe_experts(problem.x_TD, problem.routing, problem.gate_up, problem.down,
                                       silence_added);
  const Problem reference = in_reference(problem);
  const int64_t num_base = problem.gate_up.num_base();
  const int64_t first_silent = silence_added ? num_base : num_base + problem.gate_up.num_added();
  const auto expected_TD =
      naive_moe(reference.x_TD, reference.routing.weight_TK, reference.routing.expert_TK,
                all_rows(reference.gate_up), all_rows(reference.down), first_silent);
  require_close("output", y_TD, expected_TD);
  if (!y_TD.requires_grad()) return;
  y_TD.backward(problem.d_out_TD);
  expected_TD.backward(reference.d_out_TD);
  require_same_gradient("x", problem.x_TD, reference.x_TD);
  require_same_gradient("weight", problem.routing.weight_TK, reference.routing.weight_TK);
  require_same_gradient("gate_up.base", problem.gate_up.base, reference.gate_up.base);
  require_same_gradient("gate_up.added", problem.gate_up.added, reference.gate_up.added);
  require_same_gradient("down.base", problem.down.base, reference.down.base);
  require_same_gradient("down.added", problem.down.added, reference.down.added);
}

}  // namespace

TEST_CASE("experts agree with float64 autograd over many shapes", "[model][moe]") {
  const Shape shape =
      GENERATE(Shape{1, 4, 3, 2, 0, 1}, Shape{7, 8, 5, 4, 2, 2}, Shape{33, 16, 8, 6, 3, 4},
               Shape{20, 6, 10, 5, 0, 5}, Shape{20, 6, 10, 3, 2, 5}, Shape{64, 12, 7, 16, 8, 3});
  at::manual_seed(shape.tokens * 100 + shape.base);
  SECTION("the base is frozen, the tail learns") { check(random_problem(shape, {})); }
  SECTION("everything learns") { check(random_problem(shape, {true, true, true, true})); }
  SECTION("only weights of experts") { check(random_problem(shape, {false, false, true, true})); }
  SECTION("only the input") { check(random_problem(shape, {true, false, false, false})); }
  SECTION("only the router") { check(random_problem(shape, {false, true, false, false})); }
  SECTION("nothing learns") { check(random_problem(shape, {false, false, false, false})); }
}

TEST_CASE("all tokens on one expert, and experts without a token", "[model][moe]") {
  at::manual_seed(5);
  auto problem = random_problem({50, 8, 6, 4, 2, 1}, {true, true, true, true});
  SECTION("a base expert") { problem.routing.expert_TK.fill_(2); }
  SECTION("an added expert") { problem.routing.expert_TK.fill_(5); }
  SECTION("base only: the tail's gradient is zero, not missing") {
    problem.routing.expert_TK.remainder_(4);
    check(problem);
    REQUIRE(problem.gate_up.added.grad().count_nonzero().item<int64_t>() == 0);
    REQUIRE(problem.down.added.grad().count_nonzero().item<int64_t>() == 0);
    return;
  }
  check(problem);
}

TEST_CASE("silenced experts keep their slots and contribute nothing", "[model][moe]") {
  at::manual_seed(6);
  const auto problem = random_problem({40, 8, 6, 4, 3, 3}, {true, true, true, true});
  check(problem, /*silence_added=*/true);
}

TEST_CASE("with grad mode off nothing is recorded, and the bits are the same", "[model][moe]") {
  at::manual_seed(7);
  const auto problem = random_problem({40, 8, 6, 4, 3, 3}, {true, true, true, true});
  const auto recorded =
      model::moe_experts(problem.x_TD, problem.routing, problem.gate_up, problem.down);
  at::NoGradGuard no_grad;
  const auto plain =
      model::moe_experts(problem.x_TD, problem.routing, problem.gate_up, problem.down);
  REQUIRE(recorded.grad_fn() != nullptr);
  REQUIRE(plain.grad_fn() == nullptr);
  REQUIRE(bitwise_equal(recorded, plain));
}

TEST_CASE("in bfloat16 the experts stay within its rounding", "[model][moe]") {
  at::manual_seed(8);
  const auto wide = random_problem({48, 32, 16, 6, 2, 2}, {true, true, true, true});
  const auto narrow = [](const at::Tensor& t) {
    return leaf(t.detach().to(at::kBFloat16), t.requires_grad());
  };
  const SplitRows gate_up{narrow(wide.gate_up.base), narrow(wide.gate_up.added)};
  const SplitRows down{narrow(wide.down.base), narrow(wide.down.added)};
  const auto x = narrow(wide.x_TD);
  const auto y = model::moe_experts(x, wide.routing, gate_up, down);
  const auto expected =
      model::moe_experts(wide.x_TD, {wide.routing.weight_TK.detach(), wide.routing.expert_TK},
                         wide.gate_up, wide.down);
  REQUIRE(y.scalar_type() == at::kBFloat16);
  require_close("output", y, expected, at::kBFloat16);
  y.backward(wide.d_out_TD.to(at::kBFloat16));
  expected.backward(wide.d_out_TD);
  require_close("x", x.grad(), wide.x_TD.grad(), at::kBFloat16);
  require_close("gate_up.added", gate_up.added.grad(), wide.gate_up.added.grad(), at::kBFloat16);
  require_close("down.base", down.base.grad(), wide.down.base.grad(), at::kBFloat16);
}

}  // namespace polygraft::testing
