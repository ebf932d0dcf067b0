// eval/statistics.cpp: resampling by counts. A resample of n documents is a vector of multinomial
// counts, and its sums are dot products over contiguous arrays in document order, so that equal
// inputs give equal bits whatever was drawn first.
#include "eval/statistics.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>
#include <limits>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include "core/error.h"
#include "core/random.h"
#include "core/stop.h"
#include "core/text.h"
#include "eval/small_sample.h"

namespace polygraft::eval {
namespace {

/// The pairs as arrays, for the dot products.
struct Columns {
  std::vector<double> baseline, candidate, weight, change;
};

struct Sums {
  double baseline = 0, candidate = 0, weight = 0;
};

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// One division each: where values are 0 or 1 the sums are exact, so that one answer in a hundred
/// is 0.01, the double that a margin is.
double change(const Sums& sums) { return (sums.candidate - sums.baseline) / sums.weight; }
double relative_change(const Sums& sums) {
  return sums.baseline == 0 ? kNaN : (sums.candidate - sums.baseline) / sums.baseline;
}

void check(const std::vector<Pair>& pairs, const BootstrapOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1)) {
    throw ConfigError("bootstrap", "confidence is out of range")
        .expected("between 0 and 1, for instance 0.95")
        .found(concat(options.confidence));
  }
  if (options.resamples < 1) {
    throw ConfigError("bootstrap", "no resamples")
        .expected(">= 1")
        .found(concat(options.resamples));
  }
  if (pairs.empty()) {
    throw NotComparable("paired bootstrap", "there is no document to compare")
        .hint("give both models at least one document in common");
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    const bool finite = std::isfinite(pair.baseline) && std::isfinite(pair.candidate);
    if (finite && std::isfinite(pair.weight) && pair.weight > 0) continue;
    throw NumericError(concat("paired bootstrap, pair ", i), "a value cannot be used")
        .expected("finite values and a positive weight")
        .found(concat("baseline ", pair.baseline, ", candidate ", pair.candidate, ", weight ",
                      pair.weight));
  }
}

/// One row for each document: sums over its pairs, in the order of first appearance.
/// @param first_pairs where wanted, the index of each row's first pair.
std::vector<Pair> sums_by_document(const std::vector<Pair>& pairs,
                                   std::vector<size_t>* first_pairs = nullptr) {
  std::vector<Pair> sums;
  std::unordered_map<uint64_t, size_t> row_of;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    const size_t next = sums.size();
    const size_t row =
        pair.document == 0 ? next : row_of.try_emplace(pair.document, next).first->second;
    if (row == next) sums.push_back({0, 0, 0, pair.document});
    if (row == next && first_pairs != nullptr) first_pairs->push_back(i);
    sums[row].baseline += pair.baseline;
    sums[row].candidate += pair.candidate;
    sums[row].weight += pair.weight;
  }
  return sums;
}

/// At most kMaxDrawn rows: documents are dealt at random into that many groups of one size (or one
/// less).
std::vector<Pair> grouped(const std::vector<Pair>& documents, uint64_t seed) {
  if (documents.size() <= kMaxDrawn) return documents;
  const auto order =
      RandomStream(seed, "eval/random_groups").permutation(static_cast<int64_t>(documents.size()));
  std::vector<Pair> groups(kMaxDrawn, {0, 0, 0});
  for (size_t i = 0; i < order.size(); ++i) {
    const Pair& document = documents[static_cast<size_t>(order[i])];
    Pair& group = groups[i % kMaxDrawn];
    group.baseline += document.baseline;
    group.candidate += document.candidate;
    group.weight += document.weight;
  }
  return groups;
}

Columns to_columns(const std::vector<Pair>& rows) {
  Columns columns;
  for (const Pair& row : rows) {
    columns.baseline.push_back(row.baseline);
    columns.candidate.push_back(row.candidate);
    columns.weight.push_back(row.weight);
    columns.change.push_back(row.candidate - row.baseline);
  }
  return columns;
}

Sums weighted_sums(const Columns& columns, const std::vector<double>& counts) {
  Sums sums;
  for (size_t i = 0; i < counts.size(); ++i) {
    sums.baseline += counts[i] * columns.baseline[i];
    sums.candidate += counts[i] * columns.candidate[i];
    sums.weight += counts[i] * columns.weight[i];
  }
  return sums;
}

/// Standard error of `ratio` = sum(numerators) / sum(denominators) over documents drawn `counts`
/// times, from its residuals (delta method; Cochran 1977, "Sampling Techniques", 6.3). Where they
/// are all of nothing it is exactly nothing.
double ratio_error(const ResampledChange& of, double ratio, const std::vector<double>& counts) {
  double squares = 0, sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double residual = of.numerators[i] - ratio * of.denominators[i];
    squares += counts[i] * residual * residual;
    sum += counts[i] * of.denominators[i];
  }
  return std::sqrt(squares) / sum;
}

double studentized(const ResampledChange& of, double value, const std::vector<double>& counts) {
  const double distance = value - of.estimate;
  return distance == 0 ? 0 : distance / ratio_error(of, value, counts);
}

void add_resample(ResampledChange& to, double value, const std::vector<double>& counts) {
  to.values.push_back(value);
  to.studentized.push_back(studentized(to, value, counts));
}

/// Before anything is drawn.
ResampledChange undrawn(double estimate, const std::vector<double>& numerators,
                        const std::vector<double>& denominators) {
  ResampledChange out = {
      .estimate = estimate, .numerators = numerators, .denominators = denominators};
  out.error = ratio_error(out, estimate, std::vector<double>(numerators.size(), 1.0));
  return out;
}

void draw_resamples(const Columns& columns, const BootstrapOptions& options,
                    ResampledChange& relative, ResampledChange& delta) {
  RandomStream random(options.seed, "eval/paired_bootstrap");
  const size_t num_pairs = columns.weight.size();
  std::vector<double> counts(num_pairs);
  for (int64_t r = 0; r < options.resamples; ++r) {
    throw_if_stopped();
    std::fill(counts.begin(), counts.end(), 0.0);
    for (size_t draw = 0; draw < num_pairs; ++draw) counts[random.below(num_pairs)] += 1;
    const Sums sums = weighted_sums(columns, counts);
    add_resample(delta, change(sums), counts);
    add_resample(relative, relative_change(sums), counts);
  }
}

/// Ascending, NaN last: std::sort alone must not see a NaN.
void sort_values(std::vector<double>& values) {
  const auto finite_end =
      std::partition(values.begin(), values.end(), [](double value) { return !std::isnan(value); });
  std::sort(values.begin(), finite_end);
}

double standard_deviation(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / count);
}

Interval two_sided(const std::vector<double>& ascending, double confidence) {
  const double tail = (1 - confidence) / 2;
  return {quantile(ascending, tail), quantile(ascending, 1 - tail)};
}

void count_documents(PairedEstimate& estimate, const Columns& documents,
                     const std::vector<size_t>& first_pairs) {
  double all = 0, largest = 0;
  for (size_t d = 0; d < documents.change.size(); ++d) {
    const double size = std::abs(documents.change[d]);
    all += size;
    if (size > largest) estimate.largest_pair = first_pairs[d];
    largest = std::max(largest, size);
  }
  estimate.num_documents = static_cast<int64_t>(documents.change.size());
  estimate.effective_documents = effective_number(documents.weight);
  estimate.largest_share = all > 0 ? largest / all : 0;
}

}  // namespace

Interval percentile_bounds(const ResampledChange& change, double confidence) {
  const double level = expanded_level(confidence, change.denominators);
  return {quantile(change.values, 1 - level), quantile(change.values, level)};
}

double quantile(const std::vector<double>& ascending, double probability) {
  if (ascending.empty() || std::isnan(ascending.back())) return kNaN;
  const double position = probability * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  const double fraction = position - static_cast<double>(below);
  return ascending[below] + fraction * (ascending[above] - ascending[below]);
}

double p_above(const std::vector<double>& ascending, double limit) {
  const auto at_most = std::count_if(ascending.begin(), ascending.end(),
                                     [&](double value) { return value <= limit; });
  return static_cast<double>(1 + at_most) / static_cast<double>(1 + ascending.size());
}

double p_below(const std::vector<double>& ascending, double limit) {
  const auto at_least = std::count_if(ascending.begin(), ascending.end(),
                                      [&](double value) { return value >= limit; });
  return static_cast<double>(1 + at_least) / static_cast<double>(1 + ascending.size());
}

std::vector<double> holm_adjusted(const std::vector<double>& p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = static_cast<double>(order.size() - rank) * p_values[order[rank]];
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

PairedDistribution paired_bootstrap_distribution(const std::vector<Pair>& pairs,
                                                 const BootstrapOptions& options) {
  check(pairs, options);
  std::vector<size_t> first_pairs;
  const std::vector<Pair> documents = sums_by_document(pairs, &first_pairs);
  const Columns columns = to_columns(grouped(documents, options.seed));
  const Sums sums = weighted_sums(columns, std::vector<double>(columns.weight.size(), 1.0));
  PairedDistribution out;
  out.delta = undrawn(change(sums), columns.change, columns.weight);
  out.relative = undrawn(relative_change(sums), columns.change, columns.baseline);
  draw_resamples(columns, options, out.relative, out.delta);
  for (ResampledChange* resampled : {&out.delta, &out.relative}) {
    sort_values(resampled->values);
    sort_values(resampled->studentized);
  }
  PairedEstimate& estimate = out.estimate;
  estimate.baseline = sums.baseline / sums.weight;
  estimate.candidate = sums.candidate / sums.weight;
  estimate.delta = out.delta.estimate;
  estimate.relative = out.relative.estimate;
  estimate.delta_interval = two_sided(out.delta.values, options.confidence);
  estimate.relative_interval = two_sided(out.relative.values, options.confidence);
  estimate.relative_bounds = percentile_bounds(out.relative, options.confidence);
  estimate.relative_error = standard_deviation(out.relative.values);
  estimate.delta_error = standard_deviation(out.delta.values);
  estimate.num_pairs = static_cast<int64_t>(pairs.size());
  count_documents(estimate, to_columns(documents), first_pairs);
  return out;
}

double mcnemar_p(int64_t lost, int64_t won) {
  if (lost + won == 0) return 1;
  const boost::math::binomial discordant(static_cast<double>(lost + won), 0.5);
  return std::min(1.0, 2 * boost::math::cdf(discordant, static_cast<double>(std::min(lost, won))));
}

std::optional<ChangedAnswers> changed_answers(const std::vector<Pair>& pairs) {
  const auto is_answer = [](double value) { return value == 0 || value == 1; };
  ChangedAnswers out;
  std::unordered_set<uint64_t> documents;
  bool independent = true;
  for (const Pair& pair : pairs) {
    if (!is_answer(pair.baseline) || !is_answer(pair.candidate)) return {};
    if (pair.document != 0 && !documents.insert(pair.document).second) independent = false;
    out.lost += pair.baseline > pair.candidate ? 1 : 0;
    out.won += pair.baseline < pair.candidate ? 1 : 0;
  }
  if (independent) out.mcnemar_p = mcnemar_p(out.lost, out.won);
  return out;
}

std::optional<ScoreChanges> score_changes(const std::vector<Pair>& pairs) {
  constexpr double kRounding = 1e-9;  // of what a harness computes
  const auto is_score = [](double value) { return value >= -kRounding && value <= 1 + kRounding; };
  for (const Pair& pair : pairs) {
    if (!is_score(pair.baseline) || !is_score(pair.candidate)) return {};
  }
  double fall = 0, rise = 0, total = 0;
  const Columns documents = to_columns(sums_by_document(pairs));
  for (size_t d = 0; d < documents.change.size(); ++d) {
    const double change = documents.change[d];
    (change < 0 ? fall : rise) += std::abs(change);
    total += documents.weight[d];
  }
  const double num_documents = effective_number(documents.weight);
  return ScoreChanges{num_documents * fall / total, num_documents * rise / total, num_documents};
}

double effective_number(const std::vector<double>& sizes) {
  double sum = 0, squares = 0;
  for (const double size : sizes) {
    sum += size;
    squares += size * size;
  }
  return sum * sum / squares;
}

double non_inferiority_power(double margin, double standard_error, double reach) {
  if (standard_error == 0) return margin >= reach ? 1 : 0;
  return boost::math::cdf(boost::math::normal(), (margin - reach) / standard_error);
}

double growth_for_power(double margin, double standard_error, double reach, double power) {
  const double z = boost::math::quantile(boost::math::normal(), power);
  const double needed = reach + z * standard_error;
  return needed * needed / (margin * margin);
}

PairedEstimate paired_bootstrap(const std::vector<Pair>& pairs, const BootstrapOptions& options) {
  return paired_bootstrap_distribution(pairs, options).estimate;
}

}  // namespace polygraft::eval
