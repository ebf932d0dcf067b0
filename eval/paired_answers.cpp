// eval/paired_answers.cpp: see paired_answers.h. Legend, as in Tango: n answers, b lost, c won, q
// the share that is won, of greatest likelihood if the loss is `loss`.
#include "eval/paired_answers.h"

#include <algorithm>
#include <boost/math/distributions/beta.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <functional>
#include <limits>

namespace polygraft::eval {
namespace {

constexpr int kHalvings = 60;

/// Where a claim that holds above a threshold begins to hold.
double first_where(double low, double high, const std::function<bool(double)>& holds) {
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    (holds(middle) ? high : low) = middle;
  }
  return high;
}

/// Of a binomial share: the exact upper bound.
double largest_share(double events, double num_answers, double confidence) {
  if (events >= num_answers) return 1;
  return boost::math::quantile(boost::math::beta_distribution<>(events + 1, num_answers - events),
                               confidence);
}

double score(double b, double c, double n, double loss) {
  const double linear = -b - c + (2 * n - b + c) * loss;
  const double constant = -c * loss * (1 - loss);
  const double root = std::sqrt(std::max(0.0, linear * linear - 8 * n * constant));
  const double q = std::max(0.0, (root - linear) / (4 * n));
  const double variance = n * (2 * q + loss * (1 - loss));
  if (variance <= 0) return b - c - n * loss < 0 ? -std::numeric_limits<double>::infinity() : 0;
  return (b - c - n * loss) / std::sqrt(variance);
}

}  // namespace

double largest_loss(double lost, double won, double num_answers, double confidence) {
  const double z = boost::math::quantile(boost::math::normal(), confidence);
  const double by_score = first_where((lost - won) / num_answers, 1, [&](double loss) {
    return score(lost, won, num_answers, loss) <= -z;
  });
  return won > 0 ? by_score : std::max(by_score, largest_share(lost, num_answers, confidence));
}

double p_loss_above(double lost, double won, double num_answers, double loss) {
  const double distance = score(lost, won, num_answers, loss);
  if (std::isinf(distance)) return 1;
  return boost::math::cdf(boost::math::complement(boost::math::normal(), distance));
}

double growth_for_margin(double lost, double won, double num_answers, double confidence,
                         double margin) {
  const auto fits = [&](double growth) {
    return largest_loss(growth * lost, growth * won, growth * num_answers, confidence) <= margin;
  };
  constexpr double kMost = 1e9;
  if (!fits(kMost)) return std::numeric_limits<double>::infinity();
  // a bisection of the exponent: factors may be large
  return std::exp(first_where(0, std::log(kMost), [&](double e) { return fits(std::exp(e)); }));
}

}  // namespace polygraft::eval
