// tests/model/architecture/device_moe_case.cpp: see device_moe_case.h.
#include "tests/model/architecture/device_moe_case.h"

#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/naive_moe.h"

namespace polygraft::testing {
namespace {

constexpr double kPriorGradient = 0.3, kBalanceGradient = 2.0;

/// bfloat16, on the CPU.
struct Problem {
  at::Tensor x_TD, router_base_ED, router_added_nD, gate_up_NGD, down_NDF, d_y_TD;
  model::RouterTerms terms;
};

at::Tensor random_bfloat16(at::IntArrayRef shape, double deviation) {
  return random_tensor(shape, deviation).to(at::kBFloat16);
}

Problem random_problem(const DeviceMoeCase& c) {
  at::manual_seed(17);
  Problem p;
  p.x_TD = random_bfloat16({c.tokens, c.width}, 1);
  p.router_base_ED = random_bfloat16({c.base, c.width}, 0.3);
  if (c.added > 0) p.router_added_nD = random_bfloat16({c.added, c.width}, 0.3);
  p.gate_up_NGD = random_bfloat16({c.added + c.base, 2 * c.expert_width, c.width}, 0.3);
  p.down_NDF = random_bfloat16({c.added + c.base, c.width, c.expert_width}, 0.3);
  p.d_y_TD = random_bfloat16({c.tokens, c.width}, 1);
  p.terms.num_balanced = c.num_balanced;
  p.terms.balance_base = c.balance_base;
  if (c.has_prior) p.terms.prior_weight_T = at::rand({c.tokens}, at::kFloat);
  return p;
}

model::DeviceMoe layer_on(at::Device device, const Problem& p, const DeviceMoeCase& c) {
  return {p.router_base_ED.to(device),
          p.router_added_nD.defined() ? p.router_added_nD.to(device) : at::Tensor(),
          {p.gate_up_NGD.to(device), p.down_NDF.to(device), c.added},
          {c.top_k, c.renormalize}};
}

/// The order of ids: base experts first.
at::Tensor by_id(const at::Tensor& added_first, const DeviceMoeCase& c) {
  return at::cat({added_first.narrow(0, c.added, c.base), added_first.narrow(0, 0, c.added)});
}

/// The loss and its gradients by float64 autograd.
struct Reference {
  at::Tensor y_TD, prior, load_balance;
  at::Tensor x_TD, router_added_nD, gate_up_EGD, down_EDF;  // leaves

  Reference(const Problem& p, const DeviceMoeCase& c, const at::Tensor& expert_TK)
      : x_TD(leaf(p.x_TD.to(at::kDouble))),
        gate_up_EGD(leaf(by_id(p.gate_up_NGD, c).to(at::kDouble))),
        down_EDF(leaf(by_id(p.down_NDF, c).to(at::kDouble))) {
    const auto base_ED = p.router_base_ED.to(at::kDouble);
    if (c.added > 0) router_added_nD = leaf(p.router_added_nD.to(at::kDouble));
    const auto rows_ND = c.added > 0 ? at::cat({base_ED, router_added_nD}) : base_ED;
    const auto scores_TN = at::mm(x_TD, rows_ND.t());
    auto weight_TK = at::gather(at::softmax(scores_TN, 1), 1, expert_TK);
    if (c.renormalize) weight_TK = weight_TK / weight_TK.sum(1, true);
    y_TD = naive_moe(x_TD, weight_TK, expert_TK, gate_up_EGD, down_EDF, c.base + c.added);
    auto loss = (y_TD * p.d_y_TD.to(at::kDouble)).sum();
    if (c.has_prior) loss = loss + kPriorGradient * add_prior(p, rows_ND, c);
    if (c.num_balanced > 0) loss = loss + kBalanceGradient * add_balance(scores_TN, expert_TK, c);
    loss.backward();
  }

 private:
  /// Trains the added rows alone: the input and base scores are detached.
  at::Tensor add_prior(const Problem& p, const at::Tensor& rows_ND, const DeviceMoeCase& c) {
    const auto scores_TN = at::mm(x_TD.detach(), rows_ND.t());
    const auto base_T = at::logsumexp(scores_TN.narrow(1, 0, c.base).detach(), {1});
    const auto added_T = at::logsumexp(scores_TN.narrow(1, c.base, c.added), {1});
    prior = ((at::logaddexp(base_T, added_T) - base_T) * p.terms.prior_weight_T).sum();
    return prior;
  }
  at::Tensor add_balance(const at::Tensor& scores_TN, const at::Tensor& expert_TK,
                         const DeviceMoeCase& c) {
    const int64_t first = c.balance_base ? 0 : c.base, count = c.base + c.added - first;
    const auto chosen =
        at::bincount(expert_TK.narrow(0, 0, c.num_balanced).flatten(), {}, c.base + c.added)
            .narrow(0, first, count)
            .to(at::kDouble);
    const auto share = chosen / chosen.sum().clamp_min(1);
    const auto group_TN = scores_TN.narrow(0, 0, c.num_balanced).narrow(1, first, count);
    load_balance = (share * at::softmax(group_TN, 1).mean(0)).sum() * static_cast<double>(count);
    return load_balance;
  }
};

void require_choice(const Problem& p, const DeviceMoeCase& c, const at::Tensor& expert_TK) {
  const auto scores_of = [&](const at::Tensor& rows) {
    return rows.defined() ? at::mm(p.x_TD, rows.t()).to(at::kFloat) : at::Tensor();
  };
  const auto routing = model::route(scores_of(p.router_base_ED), scores_of(p.router_added_nD),
                                    {c.top_k, c.renormalize});
  REQUIRE(at::equal(expert_TK, routing.expert_TK));
}

void require_agreement(const DeviceMoeCase& c, const Reference& reference, const at::Tensor& y_TD,
                       const model::DeviceRouting& routing,
                       const model::DeviceMoeGradients& gradients) {
  const auto close = [](const char* what, const at::Tensor& found, const at::Tensor& expected) {
    require_close(what, found.to(at::kCPU), expected, at::kBFloat16);
  };
  close("y", y_TD, reference.y_TD);
  close("d x", gradients.d_x_TD, reference.x_TD.grad());
  if (c.has_prior) close("prior", routing.prior_sum, reference.prior);
  if (c.num_balanced > 0) {
    close("load balance", routing.load_balance, reference.load_balance);
  }
  REQUIRE(gradients.d_gate_up_added_nGD.defined() == (c.added > 0));
  if (c.added == 0) return;
  close("d router", gradients.d_router_added_nD, reference.router_added_nD.grad());
  close("d gate and up", gradients.d_gate_up_added_nGD,
        reference.gate_up_EGD.grad().narrow(0, c.base, c.added));
  close("d down", gradients.d_down_added_nDF, reference.down_EDF.grad().narrow(0, c.base, c.added));
}

}  // namespace

const std::vector<DeviceMoeCase>& device_moe_cases() {
  static const std::vector<DeviceMoeCase> cases = {
      {.tokens = 1, .width = 8, .expert_width = 8, .base = 1, .added = 0, .top_k = 1},
      {.tokens = 23, .width = 32, .expert_width = 16, .base = 5, .added = 2, .top_k = 3},
      {.tokens = 37,
       .width = 24,
       .expert_width = 40,
       .base = 6,
       .added = 3,
       .top_k = 2,
       .renormalize = false,
       .num_balanced = 29,
       .balance_base = false,
       .has_prior = true},
      {.tokens = 9,
       .width = 16,
       .expert_width = 24,
       .base = 3,
       .added = 2,
       .top_k = 5,
       .renormalize = true,
       .num_balanced = 9,
       .balance_base = true,
       .has_prior = true},
      {.tokens = 19,
       .width = 40,
       .expert_width = 8,
       .base = 7,
       .added = 0,
       .top_k = 4,
       .renormalize = false,
       .num_balanced = 19,
       .balance_base = true},
      {.tokens = 3,
       .width = 16,
       .expert_width = 8,
       .base = 60,
       .added = 9,
       .top_k = 2,
       .renormalize = true,
       .num_balanced = 2,
       .balance_base = false,
       .has_prior = true},
  };
  return cases;
}

std::vector<at::Tensor> check_device_moe(device::Executor& executor, at::Device device,
                                         const DeviceMoeCase& c) {
  const Problem p = random_problem(c);
  const auto layer = layer_on(device, p, c);
  auto terms = p.terms;
  if (c.has_prior) terms.prior_weight_T = terms.prior_weight_T.to(device);
  model::DeviceMoeSaved saved;
  const auto y_TD = model::forward_on_device(executor, layer, p.x_TD.to(device), terms, saved);
  const auto gradient_of = [&](const at::Tensor& term, double value) {
    return term.defined() ? at::full_like(term, value) : at::Tensor();
  };
  const auto gradients = model::backward_on_device(
      executor, layer, saved,
      {p.d_y_TD.to(device), gradient_of(saved.routing.prior_sum, kPriorGradient),
       gradient_of(saved.routing.load_balance, kBalanceGradient)});
  const model::DeviceRouting& routing = saved.routing;
  const auto expert_TK = routing.expert_TK.to(at::kCPU).to(at::kLong);
  if (!device.is_cuda()) require_choice(p, c, expert_TK);
  REQUIRE(routing.is_finite_T.all().item<bool>());
  require_agreement(c, Reference(p, c, expert_TK), y_TD, routing, gradients);
  std::vector<at::Tensor> results;
  for (const auto& tensor :
       {y_TD, routing.prior_sum, routing.load_balance, gradients.d_x_TD,
        gradients.d_router_added_nD, gradients.d_gate_up_added_nGD, gradients.d_down_added_nDF}) {
    if (tensor.defined()) results.push_back(tensor.to(at::kCPU));
  }
  return results;
}

}  // namespace polygraft::testing
