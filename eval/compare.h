// eval/compare.h: two result folders, paired sample by sample, and the gate.
#pragma once
#include <string>
#include <vector>

#include "core/config.h"
#include "core/json.h"
#include "eval/results.h"
#include "eval/statistics.h"

namespace polygraft::eval {

/// gate.yaml, or the pipeline's `gate:` block.
struct GateConfig {
  double margin_relative_bpb = 0.002;
  double confidence = 0.95;
  double min_new_gain_relative = 0.0;
  int64_t min_documents = 20;
  std::vector<std::string> new_languages;  ///< gated by gain, all others by non-inferiority

  template <class Visitor>
  void visit(Visitor& v) {
    v.field("margin_relative_bpb", margin_relative_bpb, "largest tolerated relative rise in bits per byte of an old language");
    v.field("confidence", confidence, "of the one-sided non-inferiority test");
    v.field("min_new_gain_relative", min_new_gain_relative, "smallest relative fall in bits per byte of a new language");
    v.field("min_documents", min_documents, "fewer paired documents than this are insufficient evidence");
    v.field("new_languages", new_languages, "languages gated by gain; all others must not get worse");
  }
  void validate(Problems& problems) const;
};

enum class Outcome { kPass, kFail, kInsufficient, kNotComparable };
std::string_view outcome_name(Outcome outcome);
ExitCode outcome_exit_code(Outcome outcome);

struct LanguageTest {
  std::string task, language, metric;
  bool is_new = false;
  PairedEstimate estimate;
  double margin = 0;
  double p_adjusted = 1;  ///< Holm over all old-language tests; bootstrap p of "worse than the margin"
  Outcome outcome = Outcome::kInsufficient;
  std::string reason;
};

struct Comparison {
  Outcome outcome = Outcome::kInsufficient;
  std::vector<LanguageTest> tests;  ///< old languages first, sorted by name
  Json to_json() const;             ///< the keys of `eval compare --json`
};

/// Pairs on (task, filter, doc_id) and checks the hashes. A mismatch makes the outcome kNotComparable, with the first
/// differing sample in `reason`.
Comparison compare_results(const ResultFolder& baseline, const ResultFolder& candidate, const GateConfig& gate);

std::string comparison_table(const Comparison& comparison);     ///< plain text, for a terminal
std::string comparison_markdown(const Comparison& comparison);  ///< for a pull request

}  // namespace polygraft::eval
