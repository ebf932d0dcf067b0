// eval/compare.h: two result folders, paired sample by sample, and the gate.
// One rule serves every test. With `harm` the change in the bad direction and `bound` its one-sided
// upper bound at `confidence` (paired bootstrap over documents, cautious_bounds.h):
//
//   pass          bound <= margin (non-inferiority; a new language's margin is
//                 -min_new_gain_relative)
//   fail          harm > margin; a new language that gains nothing
//   insufficient  harm <= margin < bound; too few documents; or harm > margin within chance, where
//                 even an unchanged model would pass less often than `power`
//
// All old languages must pass, so passing needs no correction (intersection-union test, Berger
// 1982); the Holm-adjusted p-value says which failures are beyond chance.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/json_fwd.h"
#include "eval/results.h"
#include "eval/sources.h"
#include "eval/statistics.h"

namespace polygraft::eval {

/// gate.yaml, or the pipeline's `gate:` block.
struct GateConfig {
  double margin_relative_bpb = 0.002;
  double margin_accuracy = 0.01;
  std::map<std::string, double> margins;  ///< by task, or by language; of no new one
  std::vector<std::string> metrics;       ///< compared before bits_per_byte, acc, exact_match
  double confidence = 0.95;
  double power = 0.8;
  double min_new_gain_relative = 0.0;
  int64_t min_documents = 20;
  int64_t resamples = 2000;
  int64_t seed = 17;
  std::string document_field = "document";
  /// Gated by gain, all others by non-inferiority. Nothing: those whose role is new in the results.
  std::optional<std::vector<std::string>> new_languages;

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("margin_relative_bpb", margin_relative_bpb,
            "largest tolerated relative rise in bits per byte of an old language");
    v.field("margin_accuracy", margin_accuracy,
            "largest tolerated fall in accuracy (0.01 = one point) of an old language; of a metric "
            "beyond 0 to 1 in its own unit");
    v.field("margins", margins,
            "other margins by task or by old language: {xcopa_it: 0.02, de: 0.001}; a task's own "
            "counts before its language's");
    v.field("metrics", metrics,
            "metrics to compare where a task has them, the first of them it has, such as "
            "[acc_norm]; else bits_per_byte, acc or exact_match");
    v.field("power", power,
            "smallest chance, about, that one language's test passes if nothing changed; with less "
            "data than that takes, a rise "
            "within chance is insufficient evidence and no failure");
    v.field("confidence", confidence, "of the one-sided non-inferiority test");
    v.field("min_new_gain_relative", min_new_gain_relative,
            "smallest relative fall in bits per byte of a new language");
    v.field("min_documents", min_documents,
            "fewer paired documents than this are insufficient evidence");
    v.field(
        "resamples", resamples,
        "bootstrap resamples of the documents; more are drawn where there are so many tests that "
        "none could be beyond chance");
    v.field("seed", seed, "of the bootstrap");
    v.field("document_field", document_field,
            "of a sample's doc: samples in which it is equal share a document, and are drawn "
            "together");
    v.field("new_languages", new_languages,
            "languages gated by gain; all others must not get worse (without this setting: the "
            "languages that the evaluated corpus list marks as new)");
  }
  void validate(Problems& problems) const;
};

enum class Outcome { kPass, kFail, kInsufficient, kNotComparable };
std::string_view outcome_name(Outcome outcome);
ExitCode outcome_exit_code(Outcome outcome);

/// How far apart two runs of the same model are.
struct NoiseFloor {
  double change = 0;  ///< on the scale of LanguageTest::change()
  Interval interval;  ///< percentiles: what was seen, without what few documents may leave unseen
};

/// What a change and its margin are counted in.
enum class Scale {
  kRelative,  ///< a share of the baseline's bits per byte
  kPoints,    ///< of a share such as accuracy: 0.01 is one point of a hundred
  kOwn,       ///< the metric's own unit, of one that leaves 0 to 1
};

struct LanguageTest {
  std::string task, language, metric;
  bool is_new = false;
  bool higher_is_better = false;              ///< accuracy; bits per byte is better when lower
  Scale scale = Scale::kRelative;             ///< of change and margin
  PairedEstimate estimate;                    ///< in bits per byte, or accuracy
  std::string largest_document;               ///< doc_id of estimate.largest_pair
  std::optional<ChangedAnswers> answers;      ///< of those that are right or wrong
  std::optional<ScoreChanges> score_changes;  ///< of scores between 0 and 1
  std::optional<NoiseFloor> noise;  ///< shown beside the change; the gate does not look at it
  /// On the scale and with the sign of change(), as is all down to the margin: how far it may go by
  /// `confidence` (cautious_bounds.h), to both sides and to the bad one alone.
  Interval interval;
  double bound = 0;
  double unchanged_reach = 0;  ///< how far an unchanged model's bound would lie from its change
  double margin = 0;           ///< the change that is still tolerated
  /// p-value of "worse than the margin"; Holm's over all tests of old languages, or over all of new
  /// ones.
  double p_adjusted = 1;
  Outcome outcome = Outcome::kInsufficient;
  std::string reason;

  bool is_relative() const { return scale == Scale::kRelative; }
  double change() const { return is_relative() ? estimate.relative : estimate.delta; }
  double change_error() const {
    return is_relative() ? estimate.relative_error : estimate.delta_error;
  }
  /// How bad the change is: positive is worse.
  double harm() const { return higher_is_better ? -change() : change(); }
  /// Whether one document has so much of all that changed in an old language that another choice of
  /// documents could say something else. Of scores few change anyway, and their bound knows it.
  bool rests_on_one_document() const {
    constexpr double kMuch = 0.25;
    return !is_new && !score_changes && estimate.largest_share > kMuch;
  }
  /// Whether a reader of many passes must be told the reason.
  bool reason_matters() const { return outcome != Outcome::kPass || rests_on_one_document(); }
  /// The harm as a multiple of the margin, so that metrics of different scales compare; without a
  /// margin any harm is infinitely many, and so is one that is no number.
  double harm_in_margins() const;
};

struct Comparison {
  Outcome outcome = Outcome::kInsufficient;
  std::vector<LanguageTest> tests;  ///< old languages first, sorted by name
  GateConfig gate;                  ///< what the tests were held against, new languages stated
  ResultSource baseline, candidate;
  std::map<std::string, Causes> causes;  ///< of the candidate against its own base, by language,
                                         ///< where `eval bpb --causes` has measured it
  std::string note = {};  ///< a sentence said with the verdict: what else a reader must know, which
                          ///< the gate does not look at

  /// Of the comparable old-language tests the one with the worst outcome (fail, insufficient,
  /// pass); of equal ones that with the most harm_in_margins(), then harm(). Or nullptr.
  const LanguageTest* worst() const;
  Json to_json() const;  ///< the keys of `eval compare --json`
};

/// What a margin may be of: tasks and old languages; and what none may be of.
struct MeasuredNames {
  std::set<std::string> of_old, of_new;
  void add(const std::string& task, const std::string& language, bool is_new);
};

/// @param key of the margins.
/// @throws ConfigError for a margin that is of nothing measured, where another would be used in
/// silence, or of a new language, whose margin is what it must gain.
void check_margins(const GateConfig& gate, const std::string& key, const MeasuredNames& names);

/// @param key of the metrics. @param known those that tasks have.
/// @throws ConfigError for a metric that no task has.
void check_metrics(const GateConfig& gate, const std::string& key,
                   const std::set<std::string>& known);

/// Pairs on (task, filter, doc_id) and checks the hashes. A mismatch makes the outcome
/// kNotComparable, with the first differing sample in `reason`. One metric per task is gated:
/// one of gate.metrics, else bits_per_byte, acc, exact_match, or the first that is better when
/// higher.
/// @throws ConfigError for a margin of a task or language that is not compared, or of a new one, or
/// a metric that no task has;
/// NotComparable when the results disagree on which languages are new and `gate` does not say.
Comparison compare_results(const ResultFolder& baseline, const ResultFolder& candidate,
                           const GateConfig& gate);

/// Adds what another run of the baseline (other batch size, dtype, threads) differs from it by.
/// @throws NotComparable naming the first task that the two runs do not measure alike, or what
/// tells that they are of two models.
void add_noise_floor(Comparison& comparison, const ResultFolder& baseline,
                     const ResultFolder& repeat);

/// Pass only when every test passes: any fail, else any not comparable, else any insufficient
/// decides.
Outcome overall_outcome(const std::vector<LanguageTest>& tests);

std::string comparison_table(const Comparison& comparison);  ///< plain text, for a terminal
/// For a pull request. When all tests need more than `max_bytes`, those that passed are left out
/// first, and the text says how many. @param stands_alone no report.json lies beside it
std::string comparison_markdown(const Comparison& comparison, size_t max_bytes = SIZE_MAX,
                                bool stands_alone = true);
/// One sentence: what was found, for whom, how sure.
std::string comparison_verdict(const Comparison& comparison);

}  // namespace polygraft::eval
