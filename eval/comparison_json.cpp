// eval/comparison_json.cpp: the keys of `eval compare --json`.
// `delta`, `ci_low`, `ci_high` and `margin` share one scale, named by `scale`: relative for bits
// per byte, absolute for accuracy. `largest_change` is the document that changed most, and its share
// of all that changed, up or down. Numbers that do not exist are null.
#include "core/config_json.h"
#include "eval/compare.h"
#include "eval/number_text.h"

namespace polygraft::eval {
namespace {

Json mcnemar_json(const LanguageTest& test) {
  if (!test.answers) return {};
  const std::optional<double> p = test.answers->mcnemar_p;
  return {{"lost", test.answers->lost}, {"won", test.answers->won}, {"p", p ? Json(*p) : Json()}};
}

Json noise_json(const LanguageTest& test) {
  if (!test.noise) return {};
  return {{"delta", json_number(test.noise->change)},
          {"ci_low", json_number(test.noise->interval.low)},
          {"ci_high", json_number(test.noise->interval.high)}};
}

Json test_json(const LanguageTest& test) {
  const bool measured = test.outcome != Outcome::kNotComparable;
  const auto value = [&](double v) { return measured ? json_number(v) : Json(); };
  return {{"task", test.task},
          {"language", test.language},
          {"metric", test.metric},
          {"is_new", test.is_new},
          {"higher_is_better", test.higher_is_better},
          {"scale", test.is_relative() ? "relative" : "absolute"},
          {"baseline", value(test.estimate.baseline)},
          {"candidate", value(test.estimate.candidate)},
          {"delta", value(test.change())},
          {"ci_low", value(test.interval.low)},
          {"ci_high", value(test.interval.high)},
          {"bound", value(test.bound)},
          {"margin", json_number(test.margin)},
          {"p_adjusted", value(test.p_adjusted)},
          {"n", test.estimate.num_pairs},
          {"documents", test.estimate.num_documents},
          {"effective_documents", test.estimate.effective_documents},
          {"largest_change",
           {{"doc_id", test.largest_document}, {"share", test.estimate.largest_share}}},
          {"mcnemar", mcnemar_json(test)},
          {"noise", noise_json(test)},
          {"outcome", outcome_name(test.outcome)},
          {"reason", test.reason}};
}

}  // namespace

Json Comparison::to_json() const {
  Json out = {{"outcome", outcome_name(outcome)}, {"verdict", comparison_verdict(*this)}};
  out["tests"] = Json::array();
  for (const LanguageTest& test : tests) out["tests"].push_back(test_json(test));
  out["worst"] = worst() == nullptr ? Json() : test_json(*worst());
  out["sources"] = {{"baseline", baseline.to_json()}, {"candidate", candidate.to_json()}};
  out["causes"] = Json::object();
  for (const auto& [language, by_cause] : causes) out["causes"][language] = by_cause.to_json();
  out["gate"] = config_to_json(gate);
  return out;
}

}  // namespace polygraft::eval
