// eval/gate.cpp: from paired documents to an outcome per language and one for all.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include "core/error.h"
#include "core/parallel.h"
#include "core/text.h"
#include "eval/cautious_bounds.h"
#include "eval/compare.h"
#include "eval/decision.h"
#include "eval/pairing.h"
#include "eval/roles.h"

namespace polygraft::eval {
namespace {

/// Resamples beyond a bound, below which a percentile is a matter of chance.
constexpr int kFewestBeyond = 10;
constexpr int64_t kMostResamples = 10'000'000;  // four numbers of each are kept

/// So many that a p-value can be beyond chance, though Holm's adjustment multiplies it by as much
/// as the number of tests: the least is 1 / (resamples + 1).
int64_t enough_resamples(size_t num_tests, const GateConfig& gate) {
  const double enough =
      std::ceil(2 * static_cast<double>(num_tests) / (1 - gate.confidence) - 1e-6);
  return std::max(gate.resamples,
                  static_cast<int64_t>(std::min(enough, static_cast<double>(kMostResamples))));
}

/// The largest tolerated harm of an old language.
double margin_of(const LanguageTest& test, const GateConfig& gate) {
  for (const std::string& name : {test.task, test.language}) {
    const auto own = gate.margins.find(name);
    if (own != gate.margins.end()) return own->second;
  }
  return test.is_relative() ? gate.margin_relative_bpb : gate.margin_accuracy;
}

/// How far the change may go, and how surely it is worse than the margin.
void bound(LanguageTest& test, const ResampledChange& change, double confidence) {
  const auto& scores = test.score_changes;
  const Interval bounds = cautious_bounds(change, scores, confidence);
  test.bound = test.higher_is_better ? bounds.low : bounds.high;
  test.interval = cautious_bounds(change, scores, (1 + confidence) / 2);
  test.unchanged_reach = unchanged_reach(change, scores, confidence);
  test.p_adjusted = p_worse(change, scores, test.margin, test.higher_is_better);
}

/// A test with its estimate and its raw p-value; the outcome waits for the family.
LanguageTest measure(const PairedTask& paired, const GateConfig& gate) {
  LanguageTest test;
  test.task = paired.task;
  test.metric = paired.metric;
  const std::vector<std::string>& news = gate.new_languages.value();
  test.language = task_language(paired.task, news);
  test.is_new = std::find(news.begin(), news.end(), test.language) != news.end();
  test.higher_is_better = paired.higher_is_better;
  if (test.higher_is_better) test.scale = Scale::kPoints;
  test.margin = test.is_relative() ? margin_of(test, gate) : -margin_of(test, gate);
  if (test.is_new) test.margin = test.is_relative() ? 0 - gate.min_new_gain_relative : 0;
  if (!paired.mismatch.empty()) {
    test.outcome = Outcome::kNotComparable;
    test.reason = paired.mismatch;
    return test;
  }
  const PairedDistribution resampled =
      paired_bootstrap_distribution(paired.pairs, {.confidence = gate.confidence,
                                                   .resamples = gate.resamples,
                                                   .seed = static_cast<uint64_t>(gate.seed)});
  test.estimate = resampled.estimate;
  test.largest_document = paired.samples->at(test.estimate.largest_pair).doc_id;
  if (test.higher_is_better) {
    test.answers = changed_answers(paired.pairs);
    test.score_changes = score_changes(paired.pairs);
    if (!test.score_changes) test.scale = Scale::kOwn;
  }
  bound(test, test.is_relative() ? resampled.relative : resampled.delta, gate.confidence);
  return test;
}

void adjust_family(std::vector<LanguageTest>& tests, bool is_new) {
  std::vector<LanguageTest*> family;
  std::vector<double> p_values;
  for (LanguageTest& test : tests) {
    if (test.is_new != is_new || test.outcome == Outcome::kNotComparable) continue;
    family.push_back(&test);
    p_values.push_back(test.p_adjusted);
  }
  const std::vector<double> adjusted = holm_adjusted(p_values);
  for (size_t i = 0; i < family.size(); ++i) family[i]->p_adjusted = adjusted[i];
}

/// A language that was to be learned and that nothing measures must not pass in silence.
void add_unmeasured(std::vector<LanguageTest>& tests, const GateConfig& gate) {
  std::set<std::string> measured;
  for (const LanguageTest& test : tests) measured.insert(test.language);
  for (const std::string& language : gate.new_languages.value()) {
    if (measured.contains(language)) continue;
    LanguageTest test;
    test.task = bpb_task(language);
    test.language = language;
    test.is_new = true;
    test.outcome = Outcome::kNotComparable;
    test.reason = "no task measures this new language";
    tests.push_back(test);
  }
}

MeasuredNames names_of(const std::vector<PairedTask>& paired,
                       const std::vector<std::string>& new_languages) {
  MeasuredNames names;
  for (const std::string& language : new_languages) names.add(bpb_task(language), language, true);
  for (const PairedTask& task : paired) {
    const std::string language = task_language(task.task, new_languages);
    names.add(task.task, language, names.of_new.contains(language));
  }
  return names;
}

std::set<std::string> metrics_of(const std::vector<PairedTask>& paired) {
  std::set<std::string> metrics;
  for (const PairedTask& task : paired) metrics.insert(task.metrics.begin(), task.metrics.end());
  return metrics;
}

}  // namespace

void GateConfig::validate(Problems& problems) const {
  constexpr double kMostMargin = 1e6;
  problems.require_in("margin_relative_bpb", margin_relative_bpb, 0, kMostMargin);
  problems.require_in("margin_accuracy", margin_accuracy, 0, 1);
  problems.require_in("confidence", confidence, 0.5, 1, Ends::kNeither);
  for (const auto& [name, margin] : margins)
    problems.require_in(concat("margins.", name), margin, 0, kMostMargin);
  problems.require_in("power", power, 0, 1, Ends::kNeither);
  problems.require_in("min_new_gain_relative", min_new_gain_relative, 0, 1, Ends::kLow);
  problems.require_at_least("min_documents", min_documents, 2);
  const double beyond = std::max(1 - confidence, 1e-9);
  const auto fewest = static_cast<int64_t>(std::ceil(kFewestBeyond / beyond - 1e-6));
  problems.require(resamples >= fewest, "resamples", concat(resamples),
                   concat("must be at least ", fewest, " for a confidence of ", confidence, ": ",
                          kFewestBeyond, " of them must lie beyond its bound"));
  problems.require(resamples <= kMostResamples, "resamples", concat(resamples),
                   concat("must be at most ", kMostResamples));
  problems.require_at_least("seed", seed, 0);
}

double LanguageTest::harm_in_margins() const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (std::isnan(harm())) return kInfinity;
  if (margin != 0) return harm() / std::abs(margin);
  return harm() > 0 ? kInfinity : harm() < 0 ? -kInfinity : 0.0;
}

const LanguageTest* Comparison::worst() const {
  const auto badness = [](const LanguageTest& test) {
    const int severity = test.outcome == Outcome::kFail           ? 2
                         : test.outcome == Outcome::kInsufficient ? 1
                                                                  : 0;
    const double harm = std::isnan(test.harm()) ? 0.0 : test.harm();
    return std::tuple(severity, test.harm_in_margins(), harm);
  };
  const LanguageTest* worst = nullptr;
  for (const LanguageTest& test : tests) {
    if (test.is_new || test.outcome == Outcome::kNotComparable) continue;
    if (worst == nullptr || badness(test) > badness(*worst)) worst = &test;
  }
  return worst;
}

std::string_view outcome_name(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPass:
      return "pass";
    case Outcome::kFail:
      return "fail";
    case Outcome::kInsufficient:
      return "insufficient";
    case Outcome::kNotComparable:
      return "not_comparable";
  }
  return "";
}

ExitCode outcome_exit_code(Outcome outcome) {
  if (outcome == Outcome::kPass) return ExitCode::kDone;
  return outcome == Outcome::kFail ? ExitCode::kGateFailed : ExitCode::kNotComparable;
}

Outcome overall_outcome(const std::vector<LanguageTest>& tests) {
  for (const Outcome outcome : {Outcome::kFail, Outcome::kNotComparable, Outcome::kInsufficient}) {
    for (const LanguageTest& test : tests) {
      if (test.outcome == outcome) return outcome;
    }
  }
  return tests.empty() ? Outcome::kNotComparable : Outcome::kPass;
}

Comparison compare_results(const ResultFolder& baseline, const ResultFolder& candidate,
                           const GateConfig& asked) {
  Comparison comparison;
  comparison.gate = asked;
  const GateConfig& gate = comparison.gate;
  if (!asked.new_languages)
    comparison.gate.new_languages = stated_new_languages(baseline, candidate);
  const std::vector<PairedTask> paired = pair_results(baseline, candidate, gate.metrics);
  comparison.gate.resamples = enough_resamples(paired.size(), asked);
  check_margins(gate, "margins", names_of(paired, *gate.new_languages));
  check_metrics(gate, "metrics", metrics_of(paired));
  comparison.tests.resize(paired.size());
  parallel_for(paired.size(), 0, [&](size_t i) { comparison.tests[i] = measure(paired[i], gate); });
  adjust_family(comparison.tests, false);
  adjust_family(comparison.tests, true);
  for (LanguageTest& test : comparison.tests) {
    if (test.outcome != Outcome::kNotComparable) decide(test, gate);
  }
  add_unmeasured(comparison.tests, gate);
  std::sort(comparison.tests.begin(), comparison.tests.end(), [](const auto& a, const auto& b) {
    return std::tie(a.is_new, a.language, a.task, a.metric) <
           std::tie(b.is_new, b.language, b.task, b.metric);
  });
  comparison.outcome = overall_outcome(comparison.tests);
  comparison.baseline = source_of(baseline);
  comparison.candidate = source_of(candidate);
  comparison.causes = candidate.causes;
  return comparison;
}

void add_noise_floor(Comparison& comparison, const ResultFolder& baseline,
                     const ResultFolder& repeat) {
  const std::string difference = model_difference(baseline.results, repeat.results);
  if (!difference.empty())
    throw NotComparable(repeat.path.string(), "is of another model than the baseline")
        .found(difference)
        .hint("name another run of the baseline: its differences are what chance alone does");
  const std::vector<PairedTask> paired = pair_results(baseline, repeat, comparison.gate.metrics);
  std::map<std::pair<std::string, std::string>, LanguageTest> runs;
  for (const PairedTask& task : paired) {
    if (!task.mismatch.empty()) {
      throw NotComparable(repeat.path.string(), "is no other run of the baseline")
          .found(concat(task.task, " ", task.metric, ": ", task.mismatch));
    }
    runs[{task.task, task.metric}] = measure(task, comparison.gate);
  }
  for (LanguageTest& test : comparison.tests) {
    const auto run = runs.find({test.task, test.metric});
    if (run == runs.end() || test.outcome == Outcome::kNotComparable) continue;
    const LanguageTest& other = run->second;
    test.noise = {other.change(), other.is_relative() ? other.estimate.relative_interval
                                                      : other.estimate.delta_interval};
  }
}

}  // namespace polygraft::eval
