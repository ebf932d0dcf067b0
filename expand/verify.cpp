// expand/verify.cpp: all checks of an expanded model against its base, and their report.
#include "expand/verify.h"

#include <ATen/core/grad_mode.h>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/verify_parts.h"
#include "model/checkpoint/displaced_rows.h"

namespace polygraft::expand {

using model::ModelFolder;

void add_difference(VerifyReport& report, Difference difference) {
  constexpr size_t kMaxListed = 100;
  report.ok = false;
  ++report.num_differences;
  if (report.differences.size() < kMaxListed) report.differences.push_back(std::move(difference));
}

void add_difference(VerifyReport& report, const std::string& tensor, const std::string& reason) {
  add_difference(report, Difference{tensor, -1, 0, reason});
}

namespace {

/// With additions masked the expanded model is the base, so that its scores are the base's.
eval::Causes causes_of(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                       const std::string& language,
                       const std::vector<tokenizer::Document>& documents) {
  eval::ScoreOptions options;
  options.progress_label = concat("comparing on ", language);
  options.head_masked_too = true;
  const auto scores = eval::score_documents(transformer, tokenizer, documents, options);
  const auto base = eval::score_as_base(transformer, tokenizer, documents, options);
  return eval::measure_causes(transformer, tokenizer, documents, {base, scores}, options);
}

/// Notes where layers or rows are missing that the probes of the base go through.
bool takes_probes_of(const ModelFolder& base, const ModelFolder& expanded, VerifyReport& report) {
  bool takes = true;
  const auto require = [&](const char* what, int64_t found, int64_t wanted, bool ok) {
    if (ok) return;
    takes = false;
    add_difference(report, "config.json",
                   concat("has ", found, " ", what, ", the base ", wanted,
                          ": it is no expansion of this base, and no packs of this base fit it"));
  };
  const model::ModelConfig &old = base.config, &now = expanded.config;
  require("layers", now.num_layers, old.num_layers, now.num_layers == old.num_layers);
  require("vocabulary rows", now.vocab_rows, old.vocab_rows, now.vocab_rows >= old.vocab_rows);
  return takes;
}

/// The models whose masked logits are compared, and what is wrong with them if they cannot be.
struct MaskedModels {
  std::optional<model::Transformer> base, expanded;
  std::optional<tokenizer::Tokenizer> with_packs;  ///< the expanded model's, where packs are put on
  std::optional<MaskedComparison> comparison;
  std::optional<Difference> failure;

  /// Calls `work`; a model that cannot be opened or run is a finding, not a failure of the check.
  template <class Work>
  void attempt(const Work& work) {
    if (failure) return;
    const auto note = [&](const Error& error) { failure = {"masked logits", -1, 0, error.what()}; };
    try {
      work();
    } catch (const FormatError& error) {  // which names the file
      note(error);
    } catch (const NumericError& error) {  // broken weights may leave the range of float32
      note(error);
    }
  }

  void open(const ModelFolder& base_folder, const ModelFolder& expanded_folder,
            const PackChoice& packs, const std::vector<model::Batch>& probes) {
    base = model::Transformer::load(base_folder);
    attempt([&] {
      if (packs.packs.empty()) {
        expanded = model::Transformer::load(expanded_folder);
      } else {
        OpenModel open = open_model(expanded_folder, packs);
        expanded = std::move(open.transformer);
        with_packs = std::move(open.tokenizer);
      }
      comparison.emplace(*base, *expanded, probes);
    });
  }
};

}  // namespace

VerifyReport verify_expansion(const ModelFolder& base, const ModelFolder& expanded,
                              const std::optional<tokenizer::Corpus>& corpus,
                              const VerifyOptions& options) {
  const at::NoGradGuard no_grad;
  VerifyReport report;
  report.ok = true;
  const HeldoutTexts texts =
      corpus ? read_heldout(*corpus, options.bytes_per_language) : HeldoutTexts();
  MaskedModels models;
  const bool probes_fit = takes_probes_of(base, expanded, report);
  if (probes_fit) models.open(base, expanded, options.packs, make_probes(base, texts));

  std::optional<BytesCheck> bytes;
  if (expanded.manifest || options.packs.packs.empty()) bytes.emplace(base, expanded, report);
  for (int64_t layer = -1; layer < base.config.num_layers; ++layer) {
    if (bytes) bytes->compare(layer);
    if (layer < 0 || !models.comparison) continue;
    models.attempt([&] { models.comparison->run_layer(layer); });
  }
  if (bytes) {
    verify_description(base, bytes->finish(), expanded, report);
    verify_tokenizer(base, expanded, report);
  }
  if (!probes_fit) return report;
  models.attempt([&] {
    report.masked_logits_equal = models.comparison->equal();
    if (!options.causes || texts.empty()) return;
    const auto tokenizer =
        models.with_packs ? *models.with_packs : tokenizer::Tokenizer::load(expanded.path);
    for (const auto& [language, documents] : texts) {
      report.step0[language] = causes_of(*models.expanded, tokenizer, language, documents);
    }
  });
  if (models.failure) add_difference(report, *models.failure);
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
          {"num_differences", num_differences},
          {"differences", differences_json},
          {"masked_logits_equal", masked_logits_equal},
          {"step0", step0_json}};
}

}  // namespace polygraft::expand
