// tests/model/device/router_test.cpp: the router's choice, weights and loss terms against float64,
// and its gradient against the same formulas and against finite differences.
#include "model/device/router.h"

#include "model/device/balance.h"
#include "model/device/column_sum.h"
#include "model/device/router_backward.h"
#include "tests/model/device/problem.h"

namespace polygraft::testing {
namespace {

using device::ThreadOrder;

struct RouterCase {
  int64_t num_tokens;
  int32_t num_base, num_added, top_k;
  bool renormalize;
  bool balance_base;     // all experts are balanced instead of the added ones
  int64_t num_balanced;  // tokens
  bool has_ties = false;

  int32_t num_experts() const { return num_base + num_added; }
  int32_t first_balanced() const { return balance_base ? 0 : num_base; }
};

const std::vector<RouterCase> kCases = {
    {0, 4, 2, 2, true, false, 0},    {1, 1, 0, 1, false, true, 1},
    {5, 6, 3, 2, true, false, 3},    {9, 6, 3, 9, false, true, 9},
    {17, 40, 0, 4, false, true, 13}, {33, 130, 7, 8, true, false, 20, /*has_ties=*/true},
    {6, 70, 1, 5, false, false, 6},  {2, 1000, 24, 3, true, true, 2},
};

struct Inputs {
  std::vector<float> base_TE, added_Tn, prior_weight_T, d_weight_TK;
};

Inputs random_inputs(const RouterCase& c) {
  std::mt19937_64 random(21);
  Inputs in{random_floats(c.num_tokens * c.num_base, random, 2),
            random_floats(c.num_tokens * c.num_added, random, 2),
            random_floats(c.num_tokens, random), random_floats(c.num_tokens * c.top_k, random)};
  if (c.has_ties) {
    for (auto* scores : {&in.base_TE, &in.added_Tn}) {
      for (float& score : *scores) score = std::round(score);
    }
  }
  return in;
}

device::RouterScores scores_of(const Inputs& in, const RouterCase& c) {
  return {view(in.base_TE), view(in.added_Tn), c.num_tokens, c.num_base, c.num_added};
}

struct Forward {
  std::vector<int32_t> expert_TK;
  std::vector<float> weight_TK, base_log_sum_T, added_log_sum_T, share_N, prior, balance;
  std::vector<uint8_t> is_finite_T;

  auto all() const {
    return std::tuple(expert_TK, weight_TK, base_log_sum_T, added_log_sum_T, share_N, prior,
                      balance, is_finite_T);
  }
};

std::vector<float> column_sums(const std::vector<float>& in, int64_t num_rows, int64_t num_columns,
                               ThreadOrder order) {
  auto out = unwritten<float>(num_columns);
  launch_on_host(device::ColumnSum{view(in), writable(out), num_rows}, order);
  return out;
}

Forward route_on_host(const Inputs& in, const RouterCase& c, ThreadOrder order) {
  Forward f;
  f.expert_TK = unwritten<int32_t>(c.num_tokens * c.top_k);
  f.weight_TK = unwritten<float>(c.num_tokens * c.top_k);
  f.base_log_sum_T = f.added_log_sum_T = unwritten<float>(c.num_tokens);
  f.is_finite_T = unwritten<uint8_t>(c.num_tokens);
  const auto scores = scores_of(in, c);
  const device::BalancedGroup balanced{c.first_balanced(), c.num_balanced};
  const int64_t num_blocks = scores.num_blocks();
  auto prior = unwritten<float>(num_blocks);
  auto probability = unwritten<float>(num_blocks * c.num_experts()), chosen = probability;
  launch_on_host(device::Router{scores,
                                {c.top_k, c.renormalize},
                                balanced,
                                view(in.prior_weight_T),
                                writable(f.expert_TK),
                                writable(f.weight_TK),
                                writable(f.base_log_sum_T),
                                writable(f.added_log_sum_T),
                                writable(f.is_finite_T),
                                writable(prior),
                                writable(probability),
                                writable(chosen)},
                 order);
  f.prior = column_sums(prior, num_blocks, 1, order);
  if (c.num_balanced == 0) return f;
  const auto probability_N = column_sums(probability, num_blocks, c.num_experts(), order);
  const auto chosen_N = column_sums(chosen, num_blocks, c.num_experts(), order);
  f.share_N = unwritten<float>(c.num_experts());
  f.balance = unwritten<float>(1);
  launch_on_host(device::BalanceLoss{view(probability_N), view(chosen_N), balanced,
                                     writable(f.share_N), writable(f.balance)},
                 order);
  return f;
}

/// The same in float64, in the plainest form.
struct Plain {
  std::vector<int32_t> expert_TK;
  std::vector<double> weight_TK, share_N;
  double prior = 0, balance = 0;
};

double score_of(const std::vector<double>& scores, const RouterCase& c, int64_t t, int32_t e) {
  return scores[static_cast<size_t>(t * c.num_experts() + e)];
}

/// exp(z_e) / sum over experts [first, last) of a token.
double probability(const std::vector<double>& scores, const RouterCase& c, int64_t t, int32_t e,
                   int32_t first) {
  double sum = 0;
  for (int32_t i = first; i < c.num_experts(); ++i) sum += std::exp(score_of(scores, c, t, i));
  return std::exp(score_of(scores, c, t, e)) / sum;
}

void choose_plainly(const std::vector<double>& scores, const RouterCase& c, int64_t t,
                    Plain& plain) {
  std::vector<int32_t> ids(static_cast<size_t>(c.num_experts()));
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return score_of(scores, c, t, a) > score_of(scores, c, t, b);
  });
  ids.resize(static_cast<size_t>(c.top_k));
  double chosen_sum = 0;
  for (const int32_t e : ids) chosen_sum += probability(scores, c, t, e, 0);
  for (const int32_t e : ids) {
    plain.expert_TK.push_back(e);
    plain.weight_TK.push_back(probability(scores, c, t, e, 0) / (c.renormalize ? chosen_sum : 1));
  }
}

double balance_plainly(const std::vector<double>& scores, const RouterCase& c,
                       const std::vector<double>& share_N) {
  double balance = 0;
  for (int64_t t = 0; t < c.num_balanced; ++t) {
    for (int32_t e = c.first_balanced(); e < c.num_experts(); ++e) {
      balance += share_N[static_cast<size_t>(e)] * probability(scores, c, t, e, c.first_balanced());
    }
  }
  return balance * (c.num_experts() - c.first_balanced()) / static_cast<double>(c.num_balanced);
}

Plain route_plainly(const std::vector<double>& scores, const Inputs& in, const RouterCase& c) {
  Plain plain;
  plain.share_N.assign(static_cast<size_t>(c.num_experts()), 0.0);
  double num_chosen = 0;
  for (int64_t t = 0; t < c.num_tokens; ++t) {
    choose_plainly(scores, c, t, plain);
    double base = 0;
    for (int32_t e = 0; e < c.num_base; ++e) base += probability(scores, c, t, e, 0);
    plain.prior -= in.prior_weight_T[static_cast<size_t>(t)] * std::log(base);
    for (int32_t k = 0; k < c.top_k && t < c.num_balanced; ++k) {
      const int32_t e = plain.expert_TK[static_cast<size_t>(t * c.top_k + k)];
      if (e < c.first_balanced()) continue;
      plain.share_N[static_cast<size_t>(e)] += 1;
      num_chosen += 1;
    }
  }
  for (double& share : plain.share_N) share /= std::max(num_chosen, 1.0);
  if (c.num_balanced > 0) plain.balance = balance_plainly(scores, c, plain.share_N);
  return plain;
}

std::vector<double> joined_scores(const Inputs& in, const RouterCase& c) {
  std::vector<double> scores;
  for (int64_t t = 0; t < c.num_tokens; ++t) {
    for (int32_t e = 0; e < c.num_experts(); ++e) scores.push_back(scores_of(in, c).read(t, e));
  }
  return scores;
}

struct Gradients {
  std::vector<float> d_base_TE, d_added_Tn, d_prior_Tn;
};

constexpr float kBalanceGradient = 0.5f;  // of the whole loss in the load-balancing loss

Gradients differentiate_on_host(const Inputs& in, const Forward& f, const RouterCase& c,
                                ThreadOrder order) {
  Gradients g{unwritten<float>(c.num_tokens * c.num_base),
              unwritten<float>(c.num_tokens * c.num_added),
              unwritten<float>(c.num_tokens * c.num_added)};
  const auto group_size = static_cast<float>(c.num_experts() - c.first_balanced());
  auto scaled_share_N = f.share_N;
  for (float& share : scaled_share_N) {
    share *= kBalanceGradient * group_size / static_cast<float>(c.num_balanced);
  }
  launch_on_host(device::RouterBackward{scores_of(in, c),
                                        {c.top_k, c.renormalize},
                                        {c.first_balanced(), c.num_balanced},
                                        view(f.expert_TK),
                                        view(f.weight_TK),
                                        view(in.d_weight_TK),
                                        view(f.base_log_sum_T),
                                        view(f.added_log_sum_T),
                                        view(scaled_share_N),
                                        view(in.prior_weight_T),
                                        writable(g.d_base_TE),
                                        writable(g.d_added_Tn),
                                        writable(g.d_prior_Tn)},
                 order);
  return g;
}

/// Of <weights, d_weight> + kBalanceGradient balance and of the prior, one token's score by central
/// differences of the plain form; choice and shares stay as they are.
std::pair<double, double> slope(const Inputs& in, const RouterCase& c, const Plain& plain,
                                size_t which) {
  constexpr double kStep = 1e-5;
  double objective[2], prior[2];
  for (const int side : {0, 1}) {
    auto scores = joined_scores(in, c);
    scores[which] += side == 1 ? kStep : -kStep;
    const auto t = static_cast<int64_t>(which) / c.num_experts();
    double chosen_sum = 0, base = 0;
    const auto slot_of = [&](int32_t k) { return static_cast<size_t>(t * c.top_k + k); };
    for (int32_t k = 0; k < c.top_k; ++k) {
      chosen_sum += probability(scores, c, t, plain.expert_TK[slot_of(k)], 0);
    }
    objective[side] =
        c.num_balanced > 0 ? kBalanceGradient * balance_plainly(scores, c, plain.share_N) : 0;
    for (int32_t k = 0; k < c.top_k; ++k) {
      objective[side] += in.d_weight_TK[slot_of(k)] *
                         probability(scores, c, t, plain.expert_TK[slot_of(k)], 0) /
                         (c.renormalize ? chosen_sum : 1);
    }
    for (int32_t e = 0; e < c.num_base; ++e) base += probability(scores, c, t, e, 0);
    prior[side] = -in.prior_weight_T[static_cast<size_t>(t)] * std::log(base);
  }
  return {(objective[1] - objective[0]) / (2 * kStep), (prior[1] - prior[0]) / (2 * kStep)};
}

}  // namespace

TEST_CASE("the router on the device chooses, weighs and adds up as float64 does", "[device]") {
  const auto c = GENERATE(from_range(kCases));
  const Inputs in = random_inputs(c);
  const auto [expert_TK, weight_TK, base_log_sum, added_log_sum, share_N, prior, balance,
              is_finite] =
      in_all_orders([&](ThreadOrder order) { return route_on_host(in, c, order).all(); });
  const Plain plain = route_plainly(joined_scores(in, c), in, c);
  REQUIRE(expert_TK == plain.expert_TK);
  require_close(to_doubles(weight_TK), plain.weight_TK, kFloatTolerance);
  REQUIRE(prior[0] == Approx(plain.prior).epsilon(1e-5).margin(1e-6));
  REQUIRE(std::all_of(is_finite.begin(), is_finite.end(), [](uint8_t one) { return one == 1; }));
  if (c.num_balanced == 0) return;
  require_close(to_doubles(share_N), plain.share_N, kFloatTolerance);
  REQUIRE(balance[0] == Approx(plain.balance).epsilon(1e-5));
}

TEST_CASE("the router's gradient on the device is the slope of the plain form", "[device]") {
  const auto c = GENERATE(from_range(kCases));
  if (c.has_ties || c.num_experts() > 200) return;  // too many slopes; no case of its own
  const Inputs in = random_inputs(c);
  const Forward f = route_on_host(in, c, ThreadOrder::kForward);
  const auto [d_base, d_added, d_prior] = in_all_orders([&](ThreadOrder order) {
    const Gradients g = differentiate_on_host(in, f, c, order);
    return std::tuple(g.d_base_TE, g.d_added_Tn, g.d_prior_Tn);
  });
  const Plain plain = route_plainly(joined_scores(in, c), in, c);
  for (int64_t t = 0; t < c.num_tokens; ++t) {
    for (int32_t e = 0; e < c.num_experts(); ++e) {
      const auto [objective, prior] =
          slope(in, c, plain, static_cast<size_t>(t * c.num_experts() + e));
      const bool is_base = e < c.num_base;
      const auto at =
          static_cast<size_t>(is_base ? t * c.num_base + e : t * c.num_added + e - c.num_base);
      REQUIRE((is_base ? d_base : d_added)[at] == Approx(objective).epsilon(1e-4).margin(1e-6));
      if (!is_base) REQUIRE(d_prior[at] == Approx(prior).epsilon(1e-4).margin(1e-6));
    }
  }
}

TEST_CASE("a score that is not finite is reported, and what is chosen stays valid", "[device]") {
  const RouterCase c{3, 5, 2, 4, true, false, 0};
  Inputs in = random_inputs(c);
  in.base_TE[5] = std::numeric_limits<float>::quiet_NaN();  // token 1
  in.added_Tn[5] = std::numeric_limits<float>::infinity();  // token 2
  const Forward f = route_on_host(in, c, ThreadOrder::kForward);
  REQUIRE(f.is_finite_T == std::vector<uint8_t>{1, 0, 0});
  for (int64_t t = 0; t < c.num_tokens; ++t) {
    std::vector<int32_t> ids(f.expert_TK.begin() + t * 4, f.expert_TK.begin() + t * 4 + 4);
    std::sort(ids.begin(), ids.end());
    REQUIRE(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
    REQUIRE((ids.front() >= 0 && ids.back() < c.num_experts()));
  }
}

TEST_CASE("an added expert that is not chosen changes no bit of renormalised weights", "[device]") {
  const RouterCase without{7, 20, 0, 3, true, true, 0};
  const Inputs in = random_inputs(without);
  const Forward before = route_on_host(in, without, ThreadOrder::kForward);
  RouterCase with = without;
  with.num_added = 3;
  Inputs grown = in;
  grown.added_Tn.assign(21, -20.0f);
  const Forward after = route_on_host(grown, with, ThreadOrder::kForward);
  REQUIRE(same_bits(before.expert_TK, after.expert_TK));
  REQUIRE(same_bits(before.weight_TK, after.weight_TK));
  REQUIRE(same_bits(before.base_log_sum_T, after.base_log_sum_T));
}

}  // namespace polygraft::testing
