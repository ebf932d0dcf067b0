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
#include "eval/compare.h"
#include "eval/comparison_text.h"
#include "eval/number_text.h"
#include "eval/paired_answers.h"
#include "eval/pairing.h"
#include "eval/roles.h"

namespace polygraft::eval {
namespace {

/// Resamples beyond a bound, below which a percentile is a matter of chance.
constexpr int kFewestBeyond = 10;
constexpr int64_t kMostResamples = 10'000'000;  // two numbers of each are kept

/// So many that a p-value can be beyond chance, though Holm's adjustment multiplies it by as much
/// as the number of tests: the least is 1 / (resamples + 1).
int64_t enough_resamples(size_t num_tests, const GateConfig& gate) {
  const double enough =
      std::ceil(2 * static_cast<double>(num_tests) / (1 - gate.confidence) - 1e-6);
  return std::max(gate.resamples,
                  static_cast<int64_t>(std::min(enough, static_cast<double>(kMostResamples))));
}

/// By which factor the documents must grow to bring the bound to the margin: a bootstrap bound's
/// distance shrinks with the square root, the score test's where nothing changed with the number.
double growth_needed(const LanguageTest& test, double bound, double margin, double confidence) {
  const double by_bootstrap = std::pow((bound - test.harm()) / (margin - test.harm()), 2);
  if (!test.score_changes) return by_bootstrap;
  const auto& [lost, won, num_documents] = *test.score_changes;
  const double by_score = growth_for_margin(lost, won, num_documents, confidence, margin);
  const bool score_decides = largest_loss(lost, won, num_documents, confidence) >= bound;
  return score_decides ? by_score : std::max(by_bootstrap, by_score);
}

std::string documents_needed(const LanguageTest& test, double bound, double margin,
                             double confidence) {
  const double needed = std::ceil(static_cast<double>(test.estimate.num_documents) *
                                  growth_needed(test, bound, margin, confidence));
  if (!std::isfinite(needed) || needed > 1e9) return "no number of documents would decide it";
  return concat("about ", human_count(static_cast<uint64_t>(needed)),
                " documents like these would decide it");
}

/// Why the documents are too few for the asked power, or "" when they are not. Without a margin
/// there is no number of documents that would do.
std::string power_missing(const LanguageTest& test, const GateConfig& gate) {
  const double margin = std::abs(test.margin);
  if (test.is_new || margin == 0) return "";
  const double error = test.change_error();
  const double power = non_inferiority_power(margin, error, gate.confidence);
  if (!(power < gate.power)) return "";
  const double growth = growth_for_power(margin, error, gate.confidence, gate.power);
  const double needed = std::ceil(growth * static_cast<double>(test.estimate.num_documents));
  return concat("an unchanged model would pass with a chance of ", fixed(100 * power, 0),
                " %, less than the ", fixed(100 * gate.power, 0), " % asked; about ",
                human_count(static_cast<uint64_t>(std::min(needed, 1e15))),
                " documents like these would do");
}

/// "beyond the margin of +0.200 %"; of a new language, whose margin is the gain asked of it,
/// "less than the asked gain of -10.0 %".
std::string miss_text(const LanguageTest& test) {
  return concat(test.is_new ? "less than the asked gain of " : "beyond the margin of ",
                change_text(test, test.margin));
}

void decide_beyond_margin(LanguageTest& test, const GateConfig& gate) {
  const std::string beyond = concat(change_text(test, test.change()), " is ", miss_text(test));
  const std::string p = p_statement(test.p_adjusted);
  const bool beyond_chance = test.p_adjusted < 1 - gate.confidence;
  const std::string missing = beyond_chance ? "" : power_missing(test, gate);
  test.outcome = missing.empty() ? Outcome::kFail : Outcome::kInsufficient;
  if (beyond_chance) {
    test.reason = concat(beyond, ", and not by chance (", p, ")");
  } else {
    test.reason =
        concat(beyond, ", though it may be chance (", p, ")", missing.empty() ? "" : "; ", missing);
  }
}

/// Of a new language that is no better than before.
void decide_nothing_gained(LanguageTest& test, const GateConfig& gate) {
  const Interval interval = test.change_interval();
  const double best = test.higher_is_better ? interval.high : interval.low;
  const bool may_be_chance = test.higher_is_better ? best > 0 : best < 0;
  test.outcome = may_be_chance ? Outcome::kInsufficient : Outcome::kFail;
  test.reason = concat(change_text(test, test.change()), ": nothing is gained");
  if (may_be_chance)
    test.reason += concat(", though it may be chance (", confidence_text(gate.confidence),
                          " interval up to ", change_text(test, best), ")");
  if (test.change() == 0)
    test.reason += "; a language that both sides had before does not belong in new_languages";
}

/// "with 95 % confidence", and why the bound lies outside of the interval that is shown, where it
/// does.
std::string confidence_of_bound(const LanguageTest& test, double bound, const GateConfig& gate) {
  const Interval interval = test.change_interval();
  const double worst = test.higher_is_better ? -interval.low : interval.high;
  const std::string sure = concat("with ", confidence_text(gate.confidence), " confidence");
  if (bound <= worst) return sure;
  return concat(sure, " (widened for no more than ", test.estimate.num_documents, " documents)");
}

void decide(LanguageTest& test, const GateConfig& gate) {
  const double sign = test.higher_is_better ? -1 : 1;
  const double harm = test.harm(), bound = sign * test.change_bound(), margin = sign * test.margin;
  const int64_t n = test.estimate.num_documents;
  const std::string sure = confidence_of_bound(test, bound, gate);
  if (n < gate.min_documents) {
    test.outcome = Outcome::kInsufficient;
    test.reason = concat(n, " documents; at least ", gate.min_documents, " are needed");
  } else if (!std::isfinite(harm) || !std::isfinite(bound)) {
    test.outcome = Outcome::kInsufficient;
    test.reason = "its change has no bound: in some draws of the documents the baseline is zero";
  } else if (test.is_new && harm >= 0) {
    decide_nothing_gained(test, gate);
  } else if (harm > margin) {
    decide_beyond_margin(test, gate);
  } else if (bound > margin) {
    test.outcome = Outcome::kInsufficient;
    test.reason =
        concat("could be ", change_text(test, sign * bound), " ", sure, ", ", miss_text(test), "; ",
               documents_needed(test, bound, margin, gate.confidence));
  } else {
    test.outcome = Outcome::kPass;
    test.reason = concat("no worse than ", change_text(test, sign * bound), " ", sure);
  }
}

/// The largest tolerated harm of an old language.
double margin_of(const LanguageTest& test, const GateConfig& gate) {
  for (const std::string& name : {test.task, test.language}) {
    const auto own = gate.margins.find(name);
    if (own != gate.margins.end()) return own->second;
  }
  return test.is_relative() ? gate.margin_relative_bpb : gate.margin_accuracy;
}

/// Scores between 0 and 1: the more cautious of the bootstrap's bound, which knows the documents it
/// has seen alone, and the score test's, which knows that others could have changed.
void bound_scores(LanguageTest& test, const std::vector<Pair>& pairs, double confidence) {
  test.answers = changed_answers(pairs);
  test.score_changes = score_changes(pairs);
  if (!test.score_changes) return;
  const auto& [lost, won, num_documents] = *test.score_changes;
  Interval& bounds = test.estimate.delta_bounds;
  bounds.low = std::min(bounds.low, -largest_loss(lost, won, num_documents, confidence));
  bounds.high = std::max(bounds.high, largest_loss(won, lost, num_documents, confidence));
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
  if (test.higher_is_better) bound_scores(test, paired.pairs, gate.confidence);
  if (test.higher_is_better && !test.score_changes) test.scale = Scale::kOwn;
  test.p_adjusted = test.higher_is_better ? p_below(resampled.delta, test.margin)
                                          : p_above(resampled.relative, test.margin);
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

double LanguageTest::change_bound() const {
  const Interval bounds = is_relative() ? estimate.relative_bounds : estimate.delta_bounds;
  return higher_is_better ? bounds.low : bounds.high;
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
    test.noise = {run->second.change(), run->second.change_interval()};
  }
}

}  // namespace polygraft::eval
