// tests/model/architecture/rounded_products_test.cpp: where operands are rounded to bfloat16,
// products with float32 weights, trained ones too, and the head's losses are as far from float64 as
// that rounding takes them, and no further.
#include "model/architecture/head_loss.h"
#include "model/architecture/linear_product.h"
#include "model/kernels/dispatch.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

using kernels::Precision;

constexpr int64_t kTokens = 300, kWidth = 64, kRows = 70, kAdded = 9;
// Both operands off by up to 2^-9 of themselves: a sum of random terms is off by about 2^-9 of its
// size, and the worst of many by a few times that.
constexpr Tolerance kRounding{8e-3, 1e-6};

bool skipped() {
  if (kernels::has_precision(Precision::kBFloat16)) return false;
  WARN("skipped: this processor has no products in bfloat16");
  return true;
}

void require_rounded(const std::string& what, const at::Tensor& actual,
                     const at::Tensor& expected) {
  INFO(what);
  const double off = excess(actual, expected, kRounding);
  REQUIRE(off <= 1);
  REQUIRE(off > 1e-4);  // float32 would be
}

struct LinearCase {
  at::Tensor x, weight, bias;
};

at::Tensor loss(const LinearCase& of, const at::Tensor& direction) {
  return (model::linear_product(of.x, of.weight, of.bias) * direction).sum();
}

}  // namespace

TEST_CASE("a float32 weight's products and gradients are rounded where asked",
          "[model][precision]") {
  if (skipped()) return;
  at::manual_seed(51);
  const bool with_bias = GENERATE(false, true);
  const LinearCase of{leaf(random_tensor({kTokens, kWidth})), leaf(random_tensor({kRows, kWidth})),
                      with_bias ? leaf(random_tensor({kRows})) : at::Tensor()};
  const LinearCase reference{to_reference(of.x), to_reference(of.weight), to_reference(of.bias)};
  const auto direction = random_tensor({kTokens, kRows});
  const auto wanted = at::linear(reference.x, reference.weight, reference.bias);
  (wanted * direction).sum().backward();
  {
    const kernels::PrecisionScope scope(Precision::kBFloat16);
    require_rounded("product", model::linear_product(of.x, of.weight, of.bias), wanted);
    loss(of, direction).backward();
  }
  require_rounded("input", of.x.grad(), reference.x.grad());
  require_rounded("weight", of.weight.grad(), reference.weight.grad());
  if (with_bias) require_close("bias", of.bias.grad(), reference.bias.grad());
}

TEST_CASE("a frozen float32 weight has no gradient where operands are rounded",
          "[model][precision]") {
  if (skipped()) return;
  at::manual_seed(52);
  const LinearCase of{leaf(random_tensor({kTokens, kWidth})), random_tensor({kRows, kWidth}), {}};
  const kernels::PrecisionScope scope(Precision::kBFloat16);
  loss(of, random_tensor({kTokens, kRows})).backward();
  REQUIRE(of.x.grad().defined());
  REQUIRE_FALSE(of.weight.grad().defined());
}

TEST_CASE("the head's losses where operands are rounded", "[model][head][precision]") {
  if (skipped()) return;
  at::manual_seed(53);
  const bool train_base = GENERATE(false, true);
  const auto hidden_TD = leaf(random_tensor({kTokens, kWidth}));
  const model::SplitRows head{leaf(random_tensor({kRows, kWidth}, 0.1), train_base),
                              leaf(random_tensor({kAdded, kWidth}, 0.1)),
                              {}};
  const auto targets_T = at::randint(0, kRows + kAdded, {kTokens}, at::kLong);
  const auto hidden = to_reference(hidden_TD), base = to_reference(head.base),
             added = to_reference(head.added);
  const auto logits = at::mm(hidden, at::cat({base, added}).t());
  at::nll_loss(at::log_softmax(logits, 1), targets_T, {}, at::Reduction::Sum).backward();
  {
    const kernels::PrecisionScope scope(Precision::kBFloat16);
    model::cross_entropy_sum(hidden_TD, targets_T, head).backward();
  }
  require_rounded("hidden", hidden_TD.grad(), hidden.grad());
  require_rounded("added rows", head.added.grad(), added.grad());
  if (train_base) require_rounded("base rows", head.base.grad(), base.grad());
  REQUIRE(head.base.grad().defined() == train_base);
}

}  // namespace polygraft::testing
