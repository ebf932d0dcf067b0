// expand/verify.cpp: all checks of an expanded model against its base, and their report.
#include "expand/verify.h"

#include "core/error.h"
#include "core/text.h"
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

struct Probes {
  std::vector<model::Batch> batches;
  std::vector<std::string> base_hashes;  ///< of their logits
};

/// One model in memory at a time: the base's hashes are kept, not its weights.
std::vector<std::string> base_logit_hashes(const model::ModelFolder& base,
                                           const std::vector<model::Batch>& probes) {
  return masked_logit_hashes(model::Transformer::load(base), probes);
}

/// With additions masked the expanded model is the base, so that its scores are the base's.
eval::Causes causes_of(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                       const std::string& language,
                       const std::vector<tokenizer::Document>& documents) {
  eval::ScoreOptions options;
  options.progress_label = concat("comparing on ", language);
  const auto scores = eval::score_documents(transformer, tokenizer, documents, options);
  return eval::measure_causes(transformer, tokenizer, documents, scores, options);
}

void run_expanded(const model::ModelFolder& expanded, const Probes& probes,
                  const HeldoutTexts& texts, const PackChoice& packs, VerifyReport& report) {
  try {
    const auto compare = [&](const model::Transformer& transformer, const auto& load_tokenizer) {
      report.masked_logits_equal =
          probes.base_hashes == masked_logit_hashes(transformer, probes.batches);
      if (texts.empty()) return;
      const tokenizer::Tokenizer tokenizer = load_tokenizer();
      for (const auto& [language, documents] : texts)
        report.step0[language] = causes_of(transformer, tokenizer, language, documents);
    };
    if (packs.packs.empty()) {
      compare(model::Transformer::load(expanded),
              [&] { return tokenizer::Tokenizer::load(expanded.path); });
    } else {
      const OpenModel model = open_model(expanded, packs);
      compare(model.transformer, [&] { return model.tokenizer; });
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
                              const VerifyOptions& options) {
  VerifyReport report;
  report.ok = true;
  if (expanded.manifest || options.packs.packs.empty()) {
    const std::string base_hash = verify_bytes(base, expanded, report);
    verify_description(base, base_hash, expanded, report);
    verify_tokenizer(base, expanded, report);
  }
  const HeldoutTexts texts =
      corpus ? read_heldout(*corpus, options.bytes_per_language) : HeldoutTexts();
  if (expanded.config.vocab_rows < base.config.vocab_rows) return report;  // probes would not fit
  const std::vector<model::Batch> probes = make_probes(base, texts);
  run_expanded(expanded, {probes, base_logit_hashes(base, probes)},
               options.causes ? texts : HeldoutTexts(), options.packs, report);
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
  for (const auto& [language, causes] : step0) step0_json[language] = causes.to_json();
  return {{"ok", ok},
          {"tensors_checked", tensors_checked},
          {"bytes_compared", bytes_compared},
          {"differences", differences_json},
          {"masked_logits_equal", masked_logits_equal},
          {"step0", step0_json}};
}

}  // namespace polygraft::expand
