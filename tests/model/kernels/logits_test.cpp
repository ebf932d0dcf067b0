// tests/model/kernels/logits_test.cpp: losses of logits on one path against float64, the same bits
// however tokens are shared out, and what is not finite.
#include "model/kernels/logits.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/model/kernels/path_under_test.h"
#include "tests/model/kernels/problem.h"

namespace polygraft::testing {
namespace {

using kernels::LogitLayout;
using kernels::Target;

constexpr int64_t kTokens = 13;

/// Base alone, with added rows, displaced rows before the last and up to the last, copies.
LogitLayout any_layout() {
  return GENERATE(LogitLayout{1, 1, 1, 0, 0, 0}, LogitLayout{50, 50, 50, 0, 0, 0},
                  LogitLayout{50, 50, 50, 9, 0, 0}, LogitLayout{50, 41, 45, 4, 0, 0},
                  LogitLayout{50, 41, 50, 30, 7, 21}, LogitLayout{4500, 4500, 4500, 2100, 3, 0});
}

struct LogitProblem {
  LogitLayout layout;
  std::vector<float> base, added, other;  ///< [T, V], [T, v], [T, V]: another model's
  std::vector<Target> targets;

  explicit LogitProblem(const LogitLayout& of, float spread = 6) : layout(of) {
    Random random(41);
    base = random_floats(random, kTokens * of.num_base, spread);
    added = random_floats(random, kTokens * of.num_added, spread);
    other = random_floats(random, kTokens * of.num_base, spread);
    for (int64_t token = 0; token < kTokens; ++token) {
      const int64_t at = token * 7919;
      targets.push_back({Target::In::kBase, at % of.first_displaced});
      if (token % 2 == 1 && of.num_added > 0) {
        targets.back() = {Target::In::kAdded, at % of.num_added};
      }
    }
    targets[3] = {};
  }
  kernels::Logits view() {
    return {kTokens, base.data(), layout.num_base, added.data(), layout.num_added};
  }
  bool is_displaced(int64_t row) const {
    return row >= layout.first_displaced && row < layout.end_displaced;
  }
};

double sum_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum;
}

/// Of one token, in float64: base rows' probabilities (displaced: 0; the copied row has its
/// copies'), then added rows'.
struct Distribution {
  std::vector<double> p;
  double log_sum = 0;
};

Distribution softmax(const LogitProblem& problem, const float* base, const float* added,
                     bool with_copies = true) {
  const LogitLayout& layout = problem.layout;
  Distribution result;
  for (int64_t row = 0; row < layout.num_base; ++row) {
    double count = problem.is_displaced(row) ? 0 : 1;
    if (row == layout.copied_row && with_copies) count += static_cast<double>(layout.num_copies);
    result.p.push_back(count * std::exp(double{base[row]}));
  }
  for (int64_t row = 0; row < layout.num_added && added != nullptr; ++row) {
    result.p.push_back(std::exp(double{added[row]}));
  }
  const double sum = sum_of(result.p);
  for (double& p : result.p) p /= sum;
  result.log_sum = std::log(sum);
  return result;
}

void require_row(const LogitProblem& problem, int64_t token, const std::vector<double>& expected) {
  const LogitLayout& layout = problem.layout;
  for (int64_t row = 0; row < layout.num_base; ++row) {
    const double actual = problem.base[static_cast<size_t>(token * layout.num_base + row)];
    REQUIRE(actual == Approx(expected[static_cast<size_t>(row)]).epsilon(3e-6).margin(3e-7));
  }
  for (int64_t row = 0; row < layout.num_added; ++row) {
    const double actual = problem.added[static_cast<size_t>(token * layout.num_added + row)];
    const double wanted = expected[static_cast<size_t>(layout.num_base + row)];
    REQUIRE(actual == Approx(wanted).epsilon(3e-6).margin(3e-7));
  }
}

std::vector<double> cross_entropy(LogitProblem& problem, const kernels::Threads& threads) {
  std::vector<double> nll(kTokens, 7);
  kernels::cross_entropy({path_under_test(), threads}, problem.layout, problem.view(),
                         problem.targets.data(), nll.data());
  return nll;
}

std::vector<double> kl_divergence(LogitProblem& problem, bool with_gradient) {
  std::vector<double> kl(kTokens, 7);
  kernels::kl_divergence({path_under_test(), threads(2)}, problem.layout, problem.other.data(),
                         problem.layout.num_base, problem.view(), kl.data(), with_gradient);
  return kl;
}

}  // namespace

TEST_CASE("logsumexp agrees with float64 at any stride", "[kernels][logits]") {
  Random random(31);
  const int64_t count = GENERATE(1, 7, 50, 2049, 4500), stride = count + GENERATE(0, 3);
  std::vector<float> logits = random_floats(random, kTokens * stride);
  std::vector<double> sums(kTokens, 7), alone(1);
  const kernels::Runner runner{path_under_test(), threads(3)};
  kernels::log_sum_exp(runner, kTokens, {logits.data(), stride}, count, sums.data());
  for (int64_t token = 0; token < kTokens; ++token) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += std::exp(double{logits[token * stride + i]});
    REQUIRE(sums[token] == Approx(std::log(sum)).epsilon(1e-6).margin(1e-6));
    kernels::log_sum_exp(runner, 1, {logits.data() + token * stride, stride}, count, alone.data());
    REQUIRE(alone[0] == sums[token]);
  }
}

TEST_CASE("cross-entropy and its gradient agree with float64", "[kernels][logits]") {
  const LogitProblem before(any_layout());
  LogitProblem problem = before;
  const auto nll = cross_entropy(problem, threads(2));
  for (int64_t token = 0; token < kTokens; ++token) {
    const float* base = &before.base[static_cast<size_t>(token * before.layout.num_base)];
    const float* added = before.added.data() + token * before.layout.num_added;
    Distribution of = softmax(before, base, added);
    const Target target = before.targets[static_cast<size_t>(token)];
    if (target.in == Target::In::kNone) {
      REQUIRE(nll[static_cast<size_t>(token)] == 0);
      require_row(problem, token, std::vector<double>(of.p.size(), 0));
      continue;
    }
    const bool in_base = target.in == Target::In::kBase;
    const float logit = in_base ? base[target.index] : added[target.index];
    REQUIRE(nll[static_cast<size_t>(token)] ==
            Approx(of.log_sum - logit).epsilon(2e-6).margin(1e-6));
    of.p[static_cast<size_t>(target.index + (in_base ? 0 : before.layout.num_base))] -= 1;
    require_row(problem, token, of.p);
  }
}

TEST_CASE("KL of two models' logits and its gradient agree with float64", "[kernels][logits]") {
  const LogitProblem before(any_layout());
  LogitProblem plain = before, problem = before;
  const auto kl = kl_divergence(problem, true);
  REQUIRE(kl_divergence(plain, false) == kl);
  REQUIRE(plain.base == before.base);
  for (int64_t token = 0; token < kTokens; ++token) {
    const int64_t at = token * before.layout.num_base;
    const float* added = before.added.data() + token * before.layout.num_added;
    const Distribution q = softmax(before, &before.base[static_cast<size_t>(at)], added);
    const Distribution p =
        softmax(before, &before.other[static_cast<size_t>(at)], nullptr, /*with_copies=*/false);
    double expected = 0;
    std::vector<double> gradient = q.p;
    for (int64_t row = 0; row < before.layout.num_base; ++row) {
      if (before.is_displaced(row)) continue;
      const auto i = static_cast<size_t>(row), of_token = static_cast<size_t>(at + row);
      const double log_p = before.other[of_token] - p.log_sum;
      expected += p.p[i] * (log_p - (before.base[of_token] - q.log_sum));
      gradient[i] -= p.p[i];
    }
    REQUIRE(kl[static_cast<size_t>(token)] == Approx(expected).epsilon(4e-6).margin(4e-6));
    require_row(problem, token, gradient);
  }
}

TEST_CASE("KL of a model from itself is zero, and so is its gradient", "[kernels][logits]") {
  LogitProblem problem({50, 50, 50, 0, 0, 0});
  problem.other = problem.base;
  for (const double kl : kl_divergence(problem, true)) REQUIRE(kl == 0);
  for (const float gradient : problem.base) REQUIRE(gradient == 0);
}

TEST_CASE("head leak agrees with float64", "[kernels][logits]") {
  const LogitLayout layout = any_layout();
  if (layout.num_added == 0) return;
  const LogitProblem before(layout);
  LogitProblem problem = before;
  std::vector<double> cost(kTokens);
  kernels::head_leak({path_under_test(), threads(2)}, layout, problem.view(), cost.data(), true);
  REQUIRE(problem.base == before.base);
  for (int64_t token = 0; token < kTokens; ++token) {
    const auto i = static_cast<size_t>(token);
    const float* base = &before.base[static_cast<size_t>(token * layout.num_base)];
    const Distribution all = softmax(before, base, &before.added[i * layout.num_added], false);
    const std::vector<double> of_added(all.p.begin() + layout.num_base, all.p.end());
    REQUIRE(cost[i] == Approx(-std::log1p(-sum_of(of_added))).epsilon(1e-5).margin(1e-6));
    for (int64_t row = 0; row < layout.num_added; ++row) {
      const double wanted = of_added[static_cast<size_t>(row)];
      REQUIRE(problem.added[i * layout.num_added + row] ==
              Approx(wanted).epsilon(5e-6).margin(1e-9));
    }
  }
}

TEST_CASE("a token's loss has the same bits alone, and on any number of threads",
          "[kernels][logits][property]") {
  const LogitProblem before({4500, 4400, 4450, 50, 3, 1});
  LogitProblem all = before;
  const auto nll = cross_entropy(all, kernels::calling_thread());
  for (const int count : {2, 3, 7}) {
    LogitProblem many = before;
    REQUIRE(cross_entropy(many, threads(count)) == nll);
    REQUIRE(many.base == all.base);
    REQUIRE(many.added == all.added);
  }
  LogitProblem one = before;
  const int64_t token = 8;
  double alone = 0;
  kernels::Logits row = one.view();
  row = {1, row.base_row(token), row.base_stride, row.added_row(token), row.added_stride};
  kernels::cross_entropy({path_under_test(), threads(2)}, one.layout, row, &one.targets[token],
                         &alone);
  REQUIRE(alone == nll[token]);
  REQUIRE(std::equal(one.base.begin() + token * 4500, one.base.begin() + (token + 1) * 4500,
                     all.base.begin() + token * 4500));
}

TEST_CASE("logits far apart neither overflow nor lose the largest", "[kernels][logits]") {
  LogitProblem problem({50, 50, 50, 9, 0, 0}, 3e4F);
  const LogitProblem before = problem;
  const auto nll = cross_entropy(problem, threads(1));
  for (int64_t token = 0; token < kTokens; ++token) {
    const auto i = static_cast<size_t>(token);
    REQUIRE(std::isfinite(nll[i]));
    if (before.targets[i].in == Target::In::kNone) continue;
    double sum = 0;
    for (int64_t row = 0; row < 50; ++row) sum += problem.base[i * 50 + row];
    for (int64_t row = 0; row < 9; ++row) sum += problem.added[i * 9 + row];
    REQUIRE(std::abs(sum) < 1e-6);  // softmax less onehot
  }
}

TEST_CASE("a logit that is not finite spoils its own token alone", "[kernels][logits]") {
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity());
  const int64_t column = GENERATE(0, 20, 49);
  LogitProblem problem({50, 50, 50, 9, 0, 0});
  const auto clean = [&] {
    LogitProblem copy = problem;
    return cross_entropy(copy, threads(2));
  }();
  problem.base[static_cast<size_t>(5 * 50 + column)] = bad;
  const auto nll = cross_entropy(problem, threads(2));
  for (size_t i = 0; i < kTokens; ++i) {
    if (i == 5) {
      REQUIRE(std::isnan(nll[i]));
    } else {
      REQUIRE(nll[i] == clean[i]);
    }
  }
}

}  // namespace polygraft::testing
