// eval/small_sample.h: by how much percentiles of a bootstrapped ratio of sums are too narrow for
// few documents, or for documents of which few carry most of the weight. With h_i = document i's
// share of the denominator, the bootstrap variance is the sum of h_i^2 e_i^2 over residuals e_i, a
// quadratic form: its bias and its degrees of freedom (Satterthwaite) follow from sums of powers of
// h alone (Bell & McCaffrey 2002, "Bias reduction in standard errors", for the mean of independent
// changes of one variance). For equal shares these are n / (n - 1) and n - 1 of Hesterberg's
// expanded percentiles (2015, "What teachers should know about the bootstrap", 3.4).
#pragma once
#include <vector>

namespace polygraft::eval {

struct SmallSample {
  double variance_ratio = 1;      ///< expected bootstrap variance / true variance, below 1
  double degrees_of_freedom = 1;  ///< of the bootstrap variance as a multiple of chi-squared
};

/// @param denominators of the documents (bytes, or the baseline's values); none below 0, two or
/// more above
SmallSample small_sample(const std::vector<double>& denominators);

/// The level at which a percentile has `confidence` once both are made up for: Student's quantile,
/// widened, looked up in the normal distribution. `confidence` itself where fewer than two
/// documents weigh; 1, the farthest of all resamples, where one outweighs the rest beyond what
/// doubles can tell.
double expanded_level(double confidence, const std::vector<double>& denominators);

}  // namespace polygraft::eval
