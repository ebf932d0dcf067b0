// tests/model/architecture/moe_kernel_call_test.cpp: a layer's experts through the kernels against
// the plain form, on whichever path this processor has and in every way that a bank is stored.
#include "model/architecture/moe_kernel_call.h"

#include "tests/model/architecture/compare.h"

namespace polygraft::testing {
namespace {

using model::MoeKernelCall;
using model::SplitRows;

constexpr int64_t kTokens = 37, kWidth = 48, kExpertWidth = 20, kBase = 6, kAdded = 3, kTopK = 3;

enum class Form { kStacked, kOneByOne, kGateAndUpApart };

SplitRows random_bank(int64_t rows, int64_t columns) {
  return {random_tensor({kBase, rows, columns}, 0.3).to(at::kBFloat16),
          leaf(random_tensor({kAdded, rows, columns}, 0.3))};
}

/// The same bank with its base cut into matrices at odd addresses, as in a mapped file.
SplitRows in_pieces(const SplitRows& bank, int64_t per_expert) {
  SplitRows cut{at::empty(bank.base.sizes(), bank.base.options().device(at::kMeta)), bank.added};
  const int64_t rows = bank.base.size(1) / per_expert;
  for (int64_t i = 0; i < kBase * per_expert; ++i) {
    const auto matrix = bank.base.select(0, i / per_expert).narrow(0, i % per_expert * rows, rows);
    auto place = at::empty({matrix.numel() + 3}, at::kBFloat16).narrow(0, 3, matrix.numel());
    cut.pieces.push_back(place.view_as(matrix).copy_(matrix));
  }
  return cut;
}

SplitRows in_float(const SplitRows& bank) {
  return {bank.base.to(at::kFloat), leaf(bank.added, bank.added.requires_grad())};
}

SplitRows stored(const SplitRows& bank, Form form, bool is_gate_up) {
  if (form == Form::kStacked) return bank;
  return in_pieces(bank, is_gate_up && form == Form::kGateAndUpApart ? 2 : 1);
}

}  // namespace

TEST_CASE("experts through the kernels agree with the plain form", "[model][moe][kernels]") {
  at::manual_seed(31);
  const Form form = GENERATE(Form::kStacked, Form::kOneByOne, Form::kGateAndUpApart);
  const bool silence_added = GENERATE(false, true);
  const SplitRows gate_up = random_bank(2 * kExpertWidth, kWidth);
  const SplitRows down = random_bank(kWidth, kExpertWidth);
  const auto x_TD = leaf(random_tensor({kTokens, kWidth}));
  const model::Routing routing{
      leaf(at::rand({kTokens, kTopK})),
      at::argsort(at::rand({kTokens, kBase + kAdded}), true, 1).narrow(1, 0, kTopK).contiguous()};
  const auto d_out_TD = random_tensor({kTokens, kWidth});

  const SplitRows plain_gate_up = in_float(gate_up), plain_down = in_float(down);
  const auto expected_TD =
      model::moe_experts(x_TD, routing, plain_gate_up, plain_down, silence_added);
  expected_TD.backward(d_out_TD);

  const SplitRows kernel_gate_up = stored(gate_up, form, true);
  const SplitRows kernel_down = stored(down, form, false);
  const auto slots = model::sort_slots(routing.expert_TK, kBase + kAdded);
  const MoeKernelCall call{x_TD,           routing.weight_TK,
                           slots,          silence_added ? kBase : kBase + kAdded,
                           kernel_gate_up, kernel_down};
  at::Tensor gate_up_RG;
  require_close("output", model::kernel_experts(call, &gate_up_RG), expected_TD);
  const auto gradients = model::kernel_experts_gradients(call, gate_up_RG, d_out_TD);
  require_close("x", gradients.d_x_TD, x_TD.grad());
  require_close("weight", gradients.d_weight_TK, routing.weight_TK.grad());
  require_close("gate_up.added", gradients.d_gate_up_added, plain_gate_up.added.grad());
  require_close("down.added", gradients.d_down_added, plain_down.added.grad());
}

TEST_CASE("the kernels form no gradient that nobody wants", "[model][moe][kernels]") {
  at::manual_seed(32);
  SplitRows gate_up = random_bank(2 * kExpertWidth, kWidth);
  SplitRows down = random_bank(kWidth, kExpertWidth);
  gate_up.added = gate_up.added.detach();
  const auto x_TD = random_tensor({kTokens, kWidth}), weight_TK = at::rand({kTokens, 1});
  const auto slots = model::sort_slots(at::full({kTokens, 1}, kBase, at::kLong), kBase + kAdded);
  const MoeKernelCall call{x_TD, weight_TK, slots, kBase + kAdded, gate_up, down};
  at::Tensor gate_up_RG;
  const auto out_TD = model::kernel_experts(call, &gate_up_RG);
  const auto gradients = model::kernel_experts_gradients(call, gate_up_RG, out_TD);
  REQUIRE_FALSE(gradients.d_x_TD.defined());
  REQUIRE_FALSE(gradients.d_weight_TK.defined());
  REQUIRE_FALSE(gradients.d_gate_up_added.defined());
  REQUIRE(gradients.d_down_added.select(0, 0).count_nonzero().item<int64_t>() > 0);
  REQUIRE(gradients.d_down_added.select(0, 1).count_nonzero().item<int64_t>() == 0);
}

}  // namespace polygraft::testing
