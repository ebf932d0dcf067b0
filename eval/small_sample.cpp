// eval/small_sample.cpp: traces of the quadratic form, and the level.
#include "eval/small_sample.h"

#include <algorithm>
#include <array>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

namespace polygraft::eval {
namespace {

/// sums[k]: the sum over documents of share^k.
std::array<double, 6> power_sums(const std::vector<double>& denominators, double total) {
  std::array<double, 6> sums{};
  for (const double denominator : denominators) {
    double power = 1;
    for (double& sum : sums) {
      sum += power;
      power *= denominator / total;
    }
  }
  return sums;
}

}  // namespace

// Residuals are (I - 1h')r and the form's matrix is A = D - hd' - dh' + (h'h) hh' with d = h^2,
// D = diag(d): tr A and tr A^2 multiplied out.
SmallSample small_sample(const std::vector<double>& denominators) {
  const double total = std::accumulate(denominators.begin(), denominators.end(), 0.0);
  const auto [count, one, h2, h3, h4, h5] = power_sums(denominators, total);
  const double trace = h2 - 2 * h3 + h2 * h2;
  const double trace_of_square =
      h4 - 4 * h5 + 4 * h2 * h4 + 2 * h3 * h3 - 4 * h2 * h2 * h3 + h2 * h2 * h2 * h2;
  // No form has less than one degree of freedom; rounding alone says so, where one document is all.
  return {trace / h2, std::max(1.0, trace * trace / trace_of_square)};
}

double expanded_level(double confidence, const std::vector<double>& denominators) {
  const auto num_weighing = std::count_if(denominators.begin(), denominators.end(),
                                          [](double denominator) { return denominator > 0; });
  if (num_weighing < 2) return confidence;
  const SmallSample sample = small_sample(denominators);
  if (!(sample.variance_ratio > 0) || !std::isfinite(sample.degrees_of_freedom)) return 1;
  const double student =
      boost::math::quantile(boost::math::students_t(sample.degrees_of_freedom), confidence);
  return boost::math::cdf(boost::math::normal(), student / std::sqrt(sample.variance_ratio));
}

}  // namespace polygraft::eval
