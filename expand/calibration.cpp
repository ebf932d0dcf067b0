// expand/calibration.cpp: calibration text read evenly from the corpus, and run through the base.
#include "expand/calibration.h"

#include <algorithm>
#include <map>

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

/// Batches' features of one text, kept apart until all are there.
struct Parts {
  std::vector<at::Tensor> input_TD, threshold_T, donor_Tn, log_normalizer_T;

  void add(const model::RouterTap& tap, const at::Tensor& donors_n, int64_t top_k) {
    input_TD.push_back(tap.input_TD.to(at::kFloat));
    threshold_T.push_back(std::get<0>(at::topk(tap.base_TE, top_k)).select(1, top_k - 1));
    donor_Tn.push_back(tap.base_TE.index_select(1, donors_n));
    log_normalizer_T.push_back(at::logsumexp(tap.base_TE, 1));
  }
  LayerFeatures join(const at::Tensor& first_T) const {
    return {at::cat(input_TD), at::cat(threshold_T), at::cat(donor_Tn), at::cat(log_normalizer_T),
            first_T};
  }
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

/// Watches the routers of the plan's layers, and hands a layer's features over when the last batch
/// has been through its router.
class LayerCollector {
 public:
  /// @param first_T of each text.
  LayerCollector(const std::vector<LayerPlan>& layers, std::vector<size_t> text_of_batch,
                 std::vector<at::Tensor> first_T, int64_t top_k, const LayerTaker& take)
      : text_of_batch_(std::move(text_of_batch)),
        first_T_(std::move(first_T)),
        top_k_(top_k),
        take_(take) {
    for (const LayerPlan& layer : layers) plans_[layer.layer] = &layer;
  }

  void see(const model::RouterTap& tap) {
    const auto found = plans_.find(tap.layer);
    if (found == plans_.end()) return;
    const LayerPlan& layer = *found->second;
    if (tap.batch == 0) parts_.assign(first_T_.size(), {});
    std::vector<int64_t> experts;
    for (const Donor& donor : layer.donors) experts.push_back(donor.expert);
    parts_[text_of_batch_[tap.batch]].add(tap, at::tensor(experts, at::kLong), top_k_);
    if (tap.batch + 1 < text_of_batch_.size()) return;
    std::vector<LayerFeatures> texts;
    for (size_t text = 0; text < parts_.size(); ++text) {
      texts.push_back(parts_[text].join(first_T_[text]));
      parts_[text] = {};
    }
    take_(layer, std::move(texts));
  }

 private:
  std::map<int64_t, const LayerPlan*> plans_;
  std::vector<size_t> text_of_batch_;
  std::vector<at::Tensor> first_T_;
  int64_t top_k_;
  const LayerTaker& take_;
  std::vector<Parts> parts_;  ///< of the layer that is being run, by text
};

}  // namespace

std::vector<CalibrationFeatures> collect_by_layer(const model::Transformer& transformer,
                                                  const std::vector<std::vector<Sequence>>& texts,
                                                  const std::vector<LayerPlan>& layers,
                                                  const LayerTaker& take,
                                                  const std::string& progress_label) {
  const at::NoGradGuard no_grad;
  std::vector<model::Batch> batches;
  std::vector<size_t> text_of_batch;
  std::vector<at::Tensor> first_T;
  int64_t num_tokens = 0;
  for (size_t text = 0; text < texts.size(); ++text) {
    for (model::Batch& batch : make_batches(texts[text])) {
      num_tokens += batch.ids_T.numel();
      batches.push_back(std::move(batch));
      text_of_batch.push_back(text);
    }
    first_T.push_back(mark_first(texts[text]));
  }
  LayerCollector collector(layers, text_of_batch, first_T, transformer.config().top_k, take);
  eval::PassOptions options{model::Mask::all_but_embedding(), nullptr, nullptr, num_tokens};
  if (!layers.empty()) options.observer = [&](const model::RouterTap& tap) { collector.see(tap); };
  Progress progress(progress_label, static_cast<uint64_t>(num_tokens), "tokens");
  options.progress = &progress;
  std::vector<std::vector<at::Tensor>> hidden_TD(texts.size());
  eval::run_passes(transformer, batches, options, [&](size_t i, const at::Tensor& batch_TD) {
    hidden_TD[text_of_batch[i]].push_back(batch_TD.to(at::kFloat));
  });
  progress.finish();
  std::vector<CalibrationFeatures> features;
  for (size_t text = 0; text < texts.size(); ++text) {
    features.push_back({at::cat(hidden_TD[text]), first_T[text]});
    hidden_TD[text].clear();
  }
  return features;
}

CalibrationFeatures collect_features(const model::Transformer& transformer,
                                     const std::vector<Sequence>& sequences,
                                     const std::string& progress_label) {
  const auto ignore = [](const LayerPlan&, const std::vector<LayerFeatures>&) {};
  return collect_by_layer(transformer, {sequences}, {}, ignore, progress_label).front();
}

}  // namespace polygraft::expand
