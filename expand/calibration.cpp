// expand/calibration.cpp: calibration text read evenly from the corpus, and run through the base.
#include "expand/calibration.h"

#include <algorithm>

#include "core/error.h"
#include "core/progress.h"
#include "core/text.h"
#include "eval/passes.h"
#include "expand/graft.h"

namespace polygraft::expand {

namespace {

// More bytes than any token of real text has on average: enough documents for the tokens that are
// wanted.
constexpr int64_t kMaxBytesPerToken = 8;

std::vector<tokenizer::Document> sample_training_text(const tokenizer::Corpus& corpus,
                                                      const std::string& language,
                                                      int64_t num_tokens, uint64_t seed) {
  const auto found = corpus.languages.find(language);
  if (found == corpus.languages.end() || found->second.train.empty()) {
    throw ConfigError("corpus", concat("no training text of '", language, "' to calibrate on"))
        .hint("list files under languages." + language + ".train");
  }
  return sample_documents(found->second.train, num_tokens * kMaxBytesPerToken,
                          RandomStream(seed, "calibration." + language));
}

/// The next document always comes from the language that has given the fewest bytes, so that every
/// beginning of the result holds the languages evenly.
std::vector<tokenizer::Document> interleave(
    std::vector<std::vector<tokenizer::Document>> by_language) {
  std::vector<tokenizer::Document> mixed;
  std::vector<size_t> next(by_language.size(), 0), bytes(by_language.size(), 0);
  while (true) {
    size_t chosen = by_language.size();
    for (size_t i = 0; i < by_language.size(); ++i) {
      const bool has_more = next[i] < by_language[i].size();
      if (has_more && (chosen == by_language.size() || bytes[i] < bytes[chosen])) chosen = i;
    }
    if (chosen == by_language.size()) return mixed;
    tokenizer::Document& document = by_language[chosen][next[chosen]++];
    bytes[chosen] += document.text.size();
    mixed.push_back(std::move(document));
  }
}

}  // namespace

Calibration read_calibration(const tokenizer::Corpus& corpus, const ExpansionPlan& plan) {
  const std::vector<std::string> old_languages = corpus.with_role("old");
  if (old_languages.empty()) {
    throw ConfigError("corpus", "no old language to calibrate on")
        .hint("list at least one language with role old");
  }
  const int64_t old_tokens = plan.experts.calibration_old_tokens;
  const int64_t per_language = old_tokens / static_cast<int64_t>(old_languages.size()) + 1;
  std::vector<std::vector<tokenizer::Document>> old_documents;
  for (const std::string& language : old_languages) {
    old_documents.push_back(sample_training_text(corpus, language, per_language, plan.seed));
  }
  return {
      sample_training_text(corpus, plan.language, plan.experts.calibration_new_tokens, plan.seed),
      interleave(std::move(old_documents))};
}

namespace {

/// Batches' features, kept apart until all are there.
struct Parts {
  std::vector<at::Tensor> input_TD, threshold_T, donor_Tn, log_normalizer_T;
};

at::Tensor mark_first(const std::vector<Sequence>& sequences) {
  at::Tensor first_T = at::zeros({count_tokens(sequences)}, at::kBool);
  int64_t position = 0;
  for (const Sequence& sequence : sequences) {
    if (sequence.size() > 1) first_T[position] = true;
    position += static_cast<int64_t>(sequence.size());
  }
  return first_T;
}

std::map<int64_t, at::Tensor> donor_ids(const std::vector<LayerPlan>& layers) {
  std::map<int64_t, at::Tensor> ids;
  for (const LayerPlan& layer : layers) {
    std::vector<int64_t> experts;
    for (const Donor& donor : layer.donors) experts.push_back(donor.expert);
    ids[layer.layer] = at::tensor(experts, at::kLong);
  }
  return ids;
}

}  // namespace

CalibrationFeatures collect_features(const model::Transformer& transformer,
                                     const std::vector<Sequence>& sequences,
                                     const std::vector<LayerPlan>& layers,
                                     const std::string& progress_label) {
  const at::NoGradGuard no_grad;
  const std::map<int64_t, at::Tensor> donors = donor_ids(layers);
  const int64_t top_k = transformer.config().top_k;
  std::map<int64_t, Parts> parts;
  const model::RouterObserver observer = [&](const model::RouterTap& tap) {
    const auto found = donors.find(tap.layer);
    if (found == donors.end()) return;
    Parts& layer = parts[tap.layer];
    layer.input_TD.push_back(tap.input_TD.to(at::kFloat));
    layer.threshold_T.push_back(std::get<0>(at::topk(tap.base_TE, top_k)).select(1, top_k - 1));
    layer.donor_Tn.push_back(tap.base_TE.index_select(1, found->second));
    layer.log_normalizer_T.push_back(at::logsumexp(tap.base_TE, 1));
  };
  std::vector<at::Tensor> hidden_TD;
  Progress progress(progress_label, static_cast<uint64_t>(count_tokens(sequences)), "tokens");
  eval::run_passes(
      transformer, make_batches(sequences), {model::Mask::all_but_embedding(), observer, &progress},
      [&](size_t, const at::Tensor& batch_TD) { hidden_TD.push_back(batch_TD.to(at::kFloat)); });
  progress.finish();
  CalibrationFeatures features{at::cat(hidden_TD), mark_first(sequences), {}};
  for (auto& [layer, part] : parts) {
    features.layers[layer] = {at::cat(part.input_TD), at::cat(part.threshold_T),
                              at::cat(part.donor_Tn), at::cat(part.log_normalizer_T)};
    part = {};
  }
  return features;
}

}  // namespace polygraft::expand
