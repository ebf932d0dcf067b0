// expand/calibration.cpp: calibration text read evenly from the corpus, and run through the base.
#include "expand/calibration.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/progress.h"
#include "core/text.h"
#include "eval/passes.h"
#include "expand/graft.h"
#include "model/architecture/tensor_bytes.h"

namespace polygraft::expand {

namespace {

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
  const int64_t per_language =
      plan.experts.calibration_old_tokens / static_cast<int64_t>(old_languages.size()) + 1;
  std::vector<std::vector<tokenizer::Document>> old_documents;
  for (const std::string& language : old_languages) {
    old_documents.push_back(sample_training_text(corpus, language, per_language, plan.seed));
  }
  return {
      sample_training_text(corpus, plan.language, plan.experts.calibration_new_tokens, plan.seed),
      interleave(std::move(old_documents))};
}

namespace {

/// The texts of a calibration, laid into batches.
struct CalibrationText {
  std::vector<model::Batch> batches;
  std::vector<size_t> text_of_batch;
  std::vector<at::Tensor> first_T;  ///< by text
  int64_t num_tokens = 0;
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

CalibrationText lay_out(const std::vector<std::vector<Sequence>>& texts) {
  CalibrationText laid;
  for (size_t text = 0; text < texts.size(); ++text) {
    for (model::Batch& batch : make_batches(texts[text])) {
      laid.num_tokens += batch.ids_T.numel();
      laid.batches.push_back(std::move(batch));
      laid.text_of_batch.push_back(text);
    }
    laid.first_T.push_back(mark_first(texts[text]));
  }
  return laid;
}

/// What a layer's routers give of a batch, but for first_T.
constexpr at::Tensor LayerFeatures::*kTapped[] = {
    &LayerFeatures::input_TD, &LayerFeatures::threshold_T, &LayerFeatures::donor_Tn,
    &LayerFeatures::log_normalizer_T};

LayerFeatures features_of(const model::RouterTap& tap, const LayerPlan& layer, int64_t top_k) {
  std::vector<int64_t> donors;
  for (const Donor& donor : layer.donors) donors.push_back(donor.expert);
  return {tap.input_TD.to(at::kFloat).contiguous(),
          std::get<0>(at::topk(tap.base_TE, top_k)).select(1, top_k - 1).contiguous(),
          tap.base_TE.index_select(1, at::tensor(donors, at::kLong)),
          at::logsumexp(tap.base_TE, 1),
          {}};
}

/// Room for the same, made by another rank.
LayerFeatures room_for(int64_t num_tokens, int64_t width, const LayerPlan& layer) {
  const auto num_donors = static_cast<int64_t>(layer.donors.size());
  return {at::empty({num_tokens, width}),
          at::empty({num_tokens}),
          at::empty({num_tokens, num_donors}),
          at::empty({num_tokens}),
          {}};
}

/// Watches the routers of the plan's layers. A layer's features go to one rank once all batches
/// have been through its router, and are handed over when each rank has those of a layer.
class LayerCollector {
 public:
  LayerCollector(const model::ModelConfig& config, const std::vector<LayerPlan>& layers,
                 const CalibrationText& text, const LayersTaker& take, const parallel::Team& team)
      : config_(config), text_(text), take_(take), team_(team) {
    for (const LayerPlan& layer : layers) plans_[layer.layer] = &layer;
  }

  void see(const model::RouterTap& tap) {
    const auto found = plans_.find(tap.layer);
    if (found == plans_.end()) return;
    seen_[tap.batch] = features_of(tap, *found->second, config_.top_k);
  }

  void close_layer(int64_t layer) {
    const auto found = plans_.find(layer);
    if (found == plans_.end()) return;
    LayerView view{found->second, team_.owner_of(ready_.size())};
    gather(view);
    if (view.rank == team_.rank()) view.texts = join();
    seen_.clear();
    ready_.push_back(std::move(view));
    const bool is_last = std::next(found) == plans_.end();
    if (!is_last && ready_.size() < static_cast<size_t>(team_.size())) return;
    take_(std::exchange(ready_, {}));
  }

 private:
  void gather(const LayerView& view) {
    parallel::Deliveries features(team_);
    for (size_t b = 0; b < text_.batches.size(); ++b) {
      const int64_t num_tokens = text_.batches[b].ids_T.numel();
      LayerFeatures& seen = seen_[b];
      if (view.rank == team_.rank() && !team_.owns(b)) {
        seen = room_for(num_tokens, config_.hidden_size, *view.plan);
      }
      for (const auto part : kTapped) {
        features.to_one(team_.owner_of(b), view.rank, model::bytes_of(seen.*part));
      }
    }
    features.wait();
  }

  /// The batches of each text side by side.
  std::vector<LayerFeatures> join() {
    std::vector<LayerFeatures> texts;
    for (size_t text = 0; text < text_.first_T.size(); ++text) {
      LayerFeatures& joined = texts.emplace_back();
      joined.first_T = text_.first_T[text];
      for (const auto part : kTapped) {
        std::vector<at::Tensor> parts;
        for (auto& [b, seen] : seen_) {
          if (text_.text_of_batch[b] == text) parts.push_back(std::move(seen.*part));
        }
        joined.*part = at::cat(parts);
      }
    }
    return texts;
  }

  const model::ModelConfig& config_;
  std::map<int64_t, const LayerPlan*> plans_;
  const CalibrationText& text_;
  const LayersTaker& take_;
  parallel::Team team_;
  std::map<size_t, LayerFeatures> seen_;  // by batch, of the layer that is being run
  std::vector<LayerView> ready_;
};

/// Every batch's hidden states on every rank, joined text by text.
std::vector<CalibrationFeatures> join_hidden(std::vector<at::Tensor> hidden_TD,
                                             const CalibrationText& text, int64_t width,
                                             const parallel::Team& team) {
  parallel::Deliveries deliveries(team);
  for (size_t b = 0; b < hidden_TD.size(); ++b) {
    if (!team.owns(b)) hidden_TD[b] = at::empty({text.batches[b].ids_T.numel(), width});
    deliveries.to_all(team.owner_of(b), model::bytes_of(hidden_TD[b]));
  }
  deliveries.wait();
  std::vector<CalibrationFeatures> features;
  for (size_t i = 0; i < text.first_T.size(); ++i) {
    std::vector<at::Tensor> parts;
    for (size_t b = 0; b < hidden_TD.size(); ++b) {
      if (text.text_of_batch[b] == i) parts.push_back(std::move(hidden_TD[b]));
    }
    features.push_back({at::cat(parts), text.first_T[i]});
  }
  return features;
}

}  // namespace

std::vector<CalibrationFeatures> collect_by_layer(const model::Transformer& transformer,
                                                  const std::vector<std::vector<Sequence>>& texts,
                                                  const std::vector<LayerPlan>& layers,
                                                  const LayersTaker& take,
                                                  const std::string& progress_label,
                                                  const parallel::Team& team) {
  const at::NoGradGuard no_grad;
  const model::ModelConfig& config = transformer.config();
  const CalibrationText text = lay_out(texts);
  LayerCollector collector(config, layers, text, take, team);
  Progress progress(progress_label, static_cast<uint64_t>(text.num_tokens), "tokens");
  eval::PassOptions options;
  options.mask = model::Mask::all_but_embedding();
  if (!layers.empty()) options.observer = [&](const model::RouterTap& tap) { collector.see(tap); };
  options.progress = &progress;
  options.most_tokens = text.num_tokens;
  options.team = team;
  options.after_layer = [&](int64_t layer, eval::PassRange) { collector.close_layer(layer); };
  std::vector<at::Tensor> hidden_TD(text.batches.size());
  eval::run_passes(transformer, text.batches, options, [&](size_t b, const at::Tensor& batch_TD) {
    hidden_TD[b] = batch_TD.to(at::kFloat).contiguous();
  });
  progress.finish();
  return join_hidden(std::move(hidden_TD), text, config.hidden_size, team);
}

CalibrationFeatures collect_features(const model::Transformer& transformer,
                                     const std::vector<Sequence>& sequences,
                                     const std::string& progress_label,
                                     const parallel::Team& team) {
  return collect_by_layer(transformer, {sequences}, {}, nullptr, progress_label, team).front();
}

}  // namespace polygraft::expand
