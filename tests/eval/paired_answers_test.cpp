// tests/eval/paired_answers_test.cpp: the score bound against its definition, likelihoods maximised
// by brute force.
#include "eval/paired_answers.h"

#include <boost/math/distributions/normal.hpp>
#include <catch2/catch.hpp>
#include <cmath>

namespace polygraft::eval {
namespace {

double log_likelihood(double b, double c, double n, double loss, double q) {
  const auto term = [](double count, double share) {
    return count == 0 ? 0 : count * std::log(share);
  };
  return term(b, q + loss) + term(c, q) + term(n - b - c, 1 - 2 * q - loss);
}

/// Ternary search: the likelihood is concave in q.
double most_likely_share(double b, double c, double n, double loss) {
  double low = std::max(0.0, -loss), high = (1 - loss) / 2;
  for (int i = 0; i < 200; ++i) {
    const double third = (high - low) / 3;
    const bool rises =
        log_likelihood(b, c, n, loss, low + third) < log_likelihood(b, c, n, loss, high - third);
    (rises ? low : high) += rises ? third : -third;
  }
  return (low + high) / 2;
}

}  // namespace

TEST_CASE("the largest loss is where the score test of it is no longer rejected",
          "[eval][statistics]") {
  struct Answers {
    double lost, won, num_answers;
  };
  const auto [lost, won, n] = GENERATE(Answers{3, 1, 40}, Answers{12, 9, 200}, Answers{0, 4, 50},
                                       Answers{7, 1, 30}, Answers{40, 45, 2000});
  const double confidence = GENERATE(0.9, 0.95, 0.99);
  CAPTURE(lost, won, n, confidence);
  const double bound = largest_loss(lost, won, n, confidence);
  const double q = most_likely_share(lost, won, n, bound);
  const double score = (lost - won - n * bound) / std::sqrt(n * (2 * q + bound - bound * bound));
  CHECK(score == Approx(-boost::math::quantile(boost::math::normal(), confidence)).epsilon(1e-4));
  CHECK(bound > (lost - won) / n);
}

TEST_CASE("answers that all stayed the same leave room for a loss", "[eval][statistics]") {
  // A share of which n answers show nothing with a chance of 5 %.
  for (const double n : {20.0, 200.0, 2000.0}) {
    CHECK(std::pow(1 - largest_loss(0, 0, n, 0.95), n) == Approx(0.05).epsilon(1e-6));
  }
  // One of 20 or none: (1 - p)^20 + 20 p (1 - p)^19.
  const double p = largest_loss(1, 0, 20, 0.95);
  CHECK(std::pow(1 - p, 20) + 20 * p * std::pow(1 - p, 19) == Approx(0.05).epsilon(1e-6));
  CHECK(largest_loss(5, 0, 5, 0.95) == 1);
}

TEST_CASE("a loss is beyond chance where the bound from below is", "[eval][statistics]") {
  // The bound from below of what was lost is that from above of what was won, turned round.
  const double least_loss = -largest_loss(9, 30, 400, 0.95);
  CHECK(p_loss_above(30, 9, 400, least_loss) == Approx(0.05).epsilon(1e-5));
  CHECK(p_loss_above(30, 9, 400, 0.05) < 1);
  CHECK(p_loss_above(0, 0, 400, 0) == 0.5);
  CHECK(p_loss_above(0, 0, 400, 0.02) > 0.99);
}

TEST_CASE("how many answers like these a margin takes", "[eval][statistics]") {
  CHECK(100 * growth_for_margin(0, 0, 100, 0.95, 0.01) ==
        Approx(std::log(0.05) / std::log(0.99)).epsilon(1e-6));
  const double growth = growth_for_margin(6, 4, 100, 0.95, 0.03);
  CHECK(largest_loss(6 * growth, 4 * growth, 100 * growth, 0.95) == Approx(0.03).epsilon(1e-6));
  CHECK(std::isinf(growth_for_margin(6, 2, 100, 0.95, 0.03)));
  CHECK(growth_for_margin(0, 0, 1000, 0.95, 0.03) == Approx(1));
}

}  // namespace polygraft::eval
