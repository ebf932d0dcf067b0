// eval/decision.cpp: see decision.h.
#include "eval/decision.h"

#include <algorithm>
#include <cmath>

#include "core/text.h"
#include "eval/comparison_text.h"
#include "eval/number_text.h"
#include "eval/paired_answers.h"

namespace polygraft::eval {
namespace {

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
                " documents that change like these would decide it");
}

/// Why the documents are too few for the asked power, or "" when they are not. Without a margin
/// there is no number of documents that would do.
std::string power_missing(const LanguageTest& test, const GateConfig& gate) {
  const double margin = std::abs(test.margin);
  if (test.is_new || margin == 0) return "";
  const double error = test.change_error();
  const double power = non_inferiority_power(margin, error, test.unchanged_reach);
  if (!(power < gate.power)) return "";
  const double growth = growth_for_power(margin, error, test.unchanged_reach, gate.power);
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
  const double best = test.higher_is_better ? test.interval.high : test.interval.low;
  const bool anything_changed = test.estimate.largest_share > 0;
  const bool may_be_chance = anything_changed && (test.higher_is_better ? best > 0 : best < 0);
  test.outcome = may_be_chance ? Outcome::kInsufficient : Outcome::kFail;
  test.reason = concat(change_text(test, test.change()), ": nothing is gained");
  if (may_be_chance)
    test.reason += concat(", though it may be chance (", confidence_text(gate.confidence),
                          " interval up to ", change_text(test, best), ")");
  if (test.change() == 0)
    test.reason += "; a language that both sides had before does not belong in new_languages";
}

std::string concentration_text(const LanguageTest& test) {
  if (!test.rests_on_one_document()) return "";
  return concat("; document ", test.largest_document, " alone has ",
                fixed(100 * test.estimate.largest_share, 0), " % of all that changed");
}

}  // namespace

void decide(LanguageTest& test, const GateConfig& gate) {
  const double sign = test.higher_is_better ? -1 : 1;
  const double harm = test.harm(), bound = sign * test.bound, margin = sign * test.margin;
  const std::string sure = concat("with ", confidence_text(gate.confidence), " confidence");
  const int64_t n = test.estimate.num_documents;
  if (n < gate.min_documents) {
    test.outcome = Outcome::kInsufficient;
    test.reason = concat(n, " documents; at least ", gate.min_documents, " are needed");
  } else if (!std::isfinite(harm) || !std::isfinite(bound)) {
    test.outcome = Outcome::kInsufficient;
    test.reason =
        "its change has no bound: in some draws of the documents the baseline is zero, or a sum is "
        "beyond what numbers hold";
  } else if (test.is_new && harm >= 0) {
    decide_nothing_gained(test, gate);
  } else if (harm > margin) {
    decide_beyond_margin(test, gate);
  } else if (bound > margin) {
    test.outcome = Outcome::kInsufficient;
    test.reason =
        concat("could be ", change_text(test, sign * bound), " ", sure, ", ", miss_text(test), "; ",
               documents_needed(test, bound, margin, gate.confidence), concentration_text(test));
  } else {
    test.outcome = Outcome::kPass;
    test.reason = concat("no worse than ", change_text(test, sign * bound), " ", sure,
                         concentration_text(test));
  }
}

}  // namespace polygraft::eval
