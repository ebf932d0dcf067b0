// tests/eval/small_sample_test.cpp: the sums of powers against the quadratic form written out as a
// matrix, equal shares against Hesterberg's formula, and shares at the edge.
#include "eval/small_sample.h"

#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

namespace polygraft::eval {
namespace {

using Matrix = std::vector<std::vector<double>>;

/// The form of the bootstrap variance in independent changes: (I - 1h')' diag(h^2) (I - 1h').
Matrix form_of(const std::vector<double>& denominators) {
  const size_t n = denominators.size();
  const double total = std::accumulate(denominators.begin(), denominators.end(), 0.0);
  Matrix form(n, std::vector<double>(n));
  for (size_t row = 0; row < n; ++row) {
    for (size_t column = 0; column < n; ++column) {
      for (size_t i = 0; i < n; ++i) {
        const double h = denominators[i] / total;
        const double left = (i == row) - denominators[row] / total;
        const double right = (i == column) - denominators[column] / total;
        form[row][column] += left * h * h * right;
      }
    }
  }
  return form;
}

SmallSample from_matrix(const std::vector<double>& denominators) {
  const Matrix form = form_of(denominators);
  const double total = std::accumulate(denominators.begin(), denominators.end(), 0.0);
  double trace = 0, squares = 0, true_variance = 0;
  for (size_t i = 0; i < form.size(); ++i) {
    trace += form[i][i];
    true_variance += denominators[i] / total * (denominators[i] / total);
    for (const double entry : form[i]) squares += entry * entry;
  }
  return {trace / true_variance, trace * trace / squares};
}

}  // namespace

TEST_CASE("bias and degrees of freedom are those of the quadratic form", "[eval][statistics]") {
  for (const std::vector<double>& denominators :
       {std::vector<double>{1, 2}, {3, 1, 4, 1, 5, 9, 2, 6}, {100, 1, 1, 1}, {0, 2, 5, 7}}) {
    const SmallSample sample = small_sample(denominators), expected = from_matrix(denominators);
    CHECK(sample.variance_ratio == Approx(expected.variance_ratio).epsilon(1e-8));
    CHECK(sample.degrees_of_freedom == Approx(expected.degrees_of_freedom).epsilon(1e-8));
  }
}

TEST_CASE("equal shares give expanded percentiles", "[eval][statistics]") {
  for (const double n : {2.0, 20.0, 1000.0}) {
    const std::vector<double> denominators(static_cast<size_t>(n), 7.0);
    const double student = quantile(boost::math::students_t(n - 1), 0.95);
    CHECK(expanded_level(0.95, denominators) ==
          Approx(cdf(boost::math::normal(), std::sqrt(n / (n - 1)) * student)).epsilon(1e-9));
  }
}

TEST_CASE("uneven shares widen more, and too few that weigh change nothing", "[eval][statistics]") {
  const std::vector<double> even(20, 1.0);
  std::vector<double> uneven = even;
  uneven[0] = 15;
  CHECK(expanded_level(0.95, uneven) > expanded_level(0.95, even));
  CHECK(expanded_level(0.95, uneven) < 1);
  CHECK(expanded_level(0.95, {}) == 0.95);
  CHECK(expanded_level(0.95, {3}) == 0.95);
  CHECK(expanded_level(0.95, {0, 3, 0}) == 0.95);
  CHECK(expanded_level(0.95, {0, 0}) == 0.95);
  for (const double most : {1e9, 1e18, 1e200, 1e308}) {
    const double level = expanded_level(0.95, {most, 1, 1});
    CHECK((level > 0.999 && level <= 1));
  }
  CHECK(expanded_level(0.95, {1e308, 1e308}) == 1);
}

}  // namespace polygraft::eval
