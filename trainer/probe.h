// trainer/probe.h: the interference probe: every language's bits per byte on a fixed text that is
// never trained on, old languages paired document by document with the base (additions masked, or
// the weights before training), and their change split by cause and by place in the document.
// It costs a forward pass of every text, and one more of a quarter of the old ones' documents,
// whose experts are then silent; the base is scored once.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json_fwd.h"
#include "eval/scoring.h"
#include "model/kernels/dispatch.h"
#include "trainer/budget.h"
#include "trainer/data/training_data.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

struct ProbeOptions {
  int64_t batch_tokens = 4096;
  double confidence = 0.95;
  uint64_t seed = 17;
  kernels::Precision precision = kernels::Precision::kFloat32;  ///< of base and model alike
  bool base_is_frozen = true;  ///< else masks do not give the base back, and no cause can be told
  /// Ranks that probe a language together, because they share the experts out; or this one alone.
  parallel::Team team = {};
  /// Of all such teams, which one this is: each probes its share of the languages.
  int team_index = 0, num_teams = 1;
};

/// Which team probes the language at `place` in the order of names.
inline int probing_team(size_t place, int num_teams) { return static_cast<int>(place) % num_teams; }

using ProbeResult = std::map<std::string, ProbeLine>;

class InterferenceProbe {
 public:
  /// @param transformer and tokenizer are referred to, not copied.
  InterferenceProbe(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                    const LanguageRoles& roles,
                    std::map<std::string, std::vector<tokenizer::Document>> texts,
                    const ProbeOptions& options);

  /// To be called once, before run(): with additions masked and text cut as the base's tokenizer
  /// does, so that the model must hold its starting weights only when they are all trainable.
  void score_base();

  /// Lines of the languages that other teams probe are empty.
  ProbeResult run() const;
  int num_teams() const { return options_.num_teams; }

  /// One language's line for metrics.jsonl; a language without a base to compare with has no delta.
  Json to_json(const ProbeResult& result) const;
  ProbeSummary summarise(const ProbeResult& result, int64_t step) const;

 private:
  ProbeLine probe_language(const std::string& language) const;
  void warn_of_few_documents() const;
  bool is_mine(const std::string& language) const;
  bool is_guarded(const std::string& language) const { return base_scores_.count(language) > 0; }
  /// Whether masks tell the base from what is added to it.
  bool splits_causes() const;
  eval::ScoreOptions score_options() const;

  const model::Transformer& transformer_;
  const tokenizer::Tokenizer& tokenizer_;
  LanguageRoles roles_;
  std::map<std::string, std::vector<tokenizer::Document>> texts_;
  std::map<std::string, std::vector<eval::DocumentScore>> base_scores_;
  ProbeOptions options_;
};

/// The old language with the highest upper bound of its rise, as the budget takes it; "" without
/// any.
std::string worst_language(const ProbeResult& result, const LanguageRoles& roles);

/// "worst de +0.13 %", or with its interval and the cause that does most; empty without old
/// languages.
std::string worst_text(const ProbeResult& result, const LanguageRoles& roles,
                       bool with_details = false);
/// "id 1.682 bits per byte; worst de +0.13 % [+0.09 %, +0.18 %], mostly experts", for the log.
std::string probe_text(const ProbeResult& result, const LanguageRoles& roles);

}  // namespace polygraft::trainer
