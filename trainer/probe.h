// trainer/probe.h: the interference probe: every language's bits per byte on a fixed text that is
// never trained on, old languages paired document by document with the base (additions masked, or
// the weights before training).
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/scoring.h"
#include "trainer/budget.h"
#include "trainer/data/training_data.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {

struct ProbeOptions {
  /// As in scoring; by default what `eval bpb` uses, so that a probe sees what the gate will see:
  /// positions that no training row reaches.
  int64_t max_context_tokens = 0;
  int64_t batch_tokens = 4096;
  double confidence = 0.95;
  uint64_t seed = 17;
};

using ProbeResult = std::map<std::string, ProbeLine>;

class InterferenceProbe {
 public:
  /// Scores the base now, once: with additions masked, so that the model must hold its starting
  /// weights only when they are all trainable. Documents of guarded languages that hold an added
  /// token cannot be scored by the base; they are left out with a warning. @param transformer and
  /// tokenizer are referred to, not copied.
  InterferenceProbe(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                    const LanguageRoles& roles,
                    std::map<std::string, std::vector<tokenizer::Document>> texts,
                    const ProbeOptions& options);

  ProbeResult run() const;

  /// One language's line for metrics.jsonl; a language without a base to compare with has no delta.
  Json to_json(const ProbeResult& result) const;
  ProbeSummary summarise(const ProbeResult& result, int64_t step, double progress) const;

 private:
  ProbeLine probe_language(const std::string& language) const;
  bool is_guarded(const std::string& language) const { return base_scores_.count(language) > 0; }
  void drop_documents_with_added_tokens(const std::string& language);
  double mean_head_leak(const std::vector<tokenizer::Document>& documents) const;

  const model::Transformer& transformer_;
  const tokenizer::Tokenizer& tokenizer_;
  std::vector<std::string> learned_;
  std::map<std::string, std::vector<tokenizer::Document>> texts_;
  std::map<std::string, std::vector<eval::DocumentScore>> base_scores_;
  ProbeOptions options_;
};

/// "id 1.682, worst de +0.13 % [+0.09, +0.18]", for the log.
std::string probe_text(const ProbeResult& result, const LanguageRoles& roles);

}  // namespace polygraft::trainer
