// expand/verify.cpp: all checks of an expanded model against its base, and their report.
#include "expand/verify.h"

#include <memory>

#include "core/error.h"
#include "core/log.h"
#include "expand/verify_parts.h"
#include "model/checkpoint/displaced_rows.h"

namespace polygraft::expand {

void add_difference(VerifyReport& report, Difference difference) {
  constexpr size_t kMaxListed = 100;
  report.ok = false;
  if (report.differences.size() < kMaxListed) report.differences.push_back(std::move(difference));
}

void add_difference(VerifyReport& report, const std::string& tensor, const std::string& reason) {
  add_difference(report, Difference{tensor, -1, 0, reason});
}

namespace {

/// One model in memory at a time: the base's results are kept, not its weights.
struct BaseResults {
  std::vector<std::string> logit_hashes;
  std::unique_ptr<Step0Measurement> step0;
};

BaseResults run_base(const model::ModelFolder& base, const std::vector<model::Batch>& probes,
                     const HeldoutTexts& texts) {
  const model::Transformer transformer = model::Transformer::load(base);
  BaseResults results{masked_logit_hashes(transformer, probes), nullptr};
  if (!texts.empty()) {
    results.step0 = std::make_unique<Step0Measurement>(
        transformer, tokenizer::Tokenizer::load(base.path), texts);
  }
  return results;
}

void run_expanded(const model::ModelFolder& expanded, const std::vector<model::Batch>& probes,
                  const BaseResults& base, VerifyReport& report) {
  try {
    const model::Transformer transformer = model::Transformer::load(expanded);
    report.masked_logits_equal = base.logit_hashes == masked_logit_hashes(transformer, probes);
    if (base.step0) {
      report.step0 = base.step0->compare(transformer, tokenizer::Tokenizer::load(expanded.path));
    }
  } catch (const FormatError& error) {
    add_difference(report, model::kDisplacedRowsFile, error.what());
  } catch (const NumericError& error) {
    // Broken weights may leave the range of float32; that is a finding, not a failure of the check.
    add_difference(report, "masked logits", error.what());
  }
}

}  // namespace

VerifyReport verify_expansion(const model::ModelFolder& base, const model::ModelFolder& expanded,
                              const std::optional<tokenizer::Corpus>& corpus,
                              int64_t bytes_per_language) {
  VerifyReport report;
  report.ok = true;
  verify_bytes(base, expanded, report);
  verify_description(base, expanded, report);
  verify_tokenizer(base, expanded, report);
  const HeldoutTexts texts = corpus ? read_heldout(*corpus, bytes_per_language) : HeldoutTexts();
  if (expanded.config.vocab_rows < base.config.vocab_rows) return report;  // probes would not fit
  const std::vector<model::Batch> probes = make_probes(base, texts);
  run_expanded(expanded, probes, run_base(base, probes, texts), report);
  report.ok = report.ok && report.masked_logits_equal;
  return report;
}

Json VerifyReport::to_json() const {
  Json differences_json = Json::array(), step0_json = Json::object();
  for (const Difference& difference : differences) {
    differences_json.push_back({{"tensor", difference.tensor},
                                {"row", difference.row},
                                {"first_byte", difference.first_byte},
                                {"reason", difference.reason}});
  }
  for (const auto& [language, by_cause] : step0) {
    step0_json[language] = {{"bits_per_byte_base", by_cause.bits_per_byte_base},
                            {"bits_per_byte_expanded", by_cause.bits_per_byte_expanded},
                            {"by_cause",
                             {{"tokenizer", by_cause.tokenizer},
                              {"head", by_cause.head},
                              {"router", by_cause.router},
                              {"experts", by_cause.experts}}}};
  }
  return {{"ok", ok},
          {"tensors_checked", tensors_checked},
          {"bytes_compared", bytes_compared},
          {"differences", differences_json},
          {"masked_logits_equal", masked_logits_equal},
          {"step0", step0_json}};
}

}  // namespace polygraft::expand
