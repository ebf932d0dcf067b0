// expand/profile.cpp: routing signatures, similarities and bits per byte of a model over a corpus.
// Legend: T tokens, K experts per token.
#include "expand/profile.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/error.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/passes.h"
#include "eval/scoring.h"
#include "expand/additions.h"
#include "expand/packs/open_model.h"
#include "expand/sequences.h"
#include "expand/similarity.h"
#include "expand/softmax_floor.h"
#include "model/architecture/tensor_bytes.h"

namespace polygraft::expand {

namespace {

void check_texts(const tokenizer::Corpus& corpus, const ProfileOptions& options) {
  Problems problems;
  for (const auto& [language, texts] : corpus.languages) {
    const std::string path = "languages." + language;
    problems.require(!texts.train.empty(), path + ".train", "[]", "must list a file to profile");
    problems.require(!texts.heldout.empty() || !options.scores_heldout, path + ".heldout", "[]",
                     "must list a file to measure bits per byte on");
  }
  if (corpus.languages.empty()) problems.add("languages: the corpus lists none");
  problems.throw_if_any(options.corpus_name);
}

std::vector<double> shares(const at::Tensor& counts_E) {
  const at::Tensor share_E = counts_E / counts_E.sum();
  const double* const data = share_E.const_data_ptr<double>();
  return {data, data + share_E.numel()};
}

/// The sampled training text of all languages as batches that hold one language each.
struct ProfileText {
  std::vector<model::Batch> batches;
  std::vector<std::string> language_of_batch;
  uint64_t num_tokens = 0;
};

ProfileText sample_text(const model::Transformer& transformer,
                        const tokenizer::Tokenizer& tokenizer, const tokenizer::Corpus& corpus,
                        int64_t num_tokens) {
  ProfileText text;
  for (const auto& [language, texts] : corpus.languages) {
    const auto documents = sample_documents(texts.train, num_tokens * kMaxBytesPerToken,
                                            RandomStream(0, "profile." + language));
    const std::vector<Sequence> sequences = encode_sequences(
        documents, tokenizer, {num_tokens, sequence_tokens_for(transformer.config())});
    text.num_tokens += static_cast<uint64_t>(count_tokens(sequences));
    for (model::Batch& batch : make_batches(sequences)) {
      text.batches.push_back(std::move(batch));
      text.language_of_batch.push_back(language);
    }
  }
  return text;
}

/// What is counted of a text: in each MoE layer how often each expert was chosen, and the sum of
/// its weights in the softmax. float64 [L, 2, E].
using ExpertUse = at::Tensor;

/// Counts batch by batch, each on its own rank, and adds the batches of a language up in order.
class UseCounter {
 public:
  UseCounter(const model::Transformer& transformer, const ProfileText& text,
             const parallel::Team& team)
      : layers_(AdditionShapes::of(transformer.config()).moe_layers),
        num_experts_(transformer.num_base_experts() + transformer.num_added_experts()),
        text_(text),
        team_(team) {}

  void tap(const model::RouterTap& tap) {
    const at::Tensor score_TE =
        tap.added_Tn.defined() ? at::cat({tap.base_TE, tap.added_Tn}, 1) : tap.base_TE;
    const auto place = std::find(layers_.begin(), layers_.end(), tap.layer) - layers_.begin();
    const at::Tensor use_2E = use_of(tap.batch)[place];
    use_2E[0].copy_(model::count_choices(tap.routing, num_experts_));
    use_2E[1].copy_(at::softmax(score_TE, 1).sum(0, false, at::kDouble));
  }

  void close_pass(eval::PassRange pass) {
    parallel::Deliveries uses(team_);
    for (size_t b = pass.first; b < pass.end; ++b) {
      uses.to_all(team_.owner_of(b), model::bytes_of(use_of(b)));
    }
    uses.wait();
    for (size_t b = pass.first; b < pass.end; ++b) {
      ExpertUse& sum = by_language_[text_.language_of_batch[b]];
      sum = sum.defined() ? sum + use_of(b) : use_of(b);
    }
    of_pass_.clear();
  }

  std::vector<LayerProfile> profile_layers() const {
    std::vector<LayerProfile> layers;
    for (const int64_t index : layers_) {
      const auto place = static_cast<int64_t>(layers.size());
      LayerProfile& layer = layers.emplace_back(LayerProfile{index});
      for (const auto& [language, use_L2E] : by_language_) {
        layer.signature[language] = shares(use_L2E[place][0]);
        layer.softmax[language] = shares(use_L2E[place][1]);
      }
    }
    return layers;
  }

 private:
  ExpertUse use_of(size_t batch) {
    const auto [place, is_new] = of_pass_.try_emplace(batch);
    if (is_new) {
      place->second =
          at::zeros({static_cast<int64_t>(layers_.size()), 2, num_experts_}, at::kDouble);
    }
    return place->second;
  }

  std::vector<int64_t> layers_;
  int64_t num_experts_;
  const ProfileText& text_;
  parallel::Team team_;
  std::map<size_t, ExpertUse> of_pass_;  // by batch
  std::map<std::string, ExpertUse> by_language_;
};

/// Old languages' floors, in a model that does not renormalise.
SoftmaxFloors begin_floors(const model::Transformer& transformer, const tokenizer::Corpus& corpus,
                           const ProfileText& text, const ProfileOptions& options) {
  const model::ModelConfig& config = transformer.config();
  const int64_t pass_tokens =
      options.pass_tokens > 0 ? options.pass_tokens : transformer.tokens_per_pass();
  const std::vector<std::string> languages =
      config.renormalize_top_k ? std::vector<std::string>{} : corpus.with_role("old");
  return {choose_floor_sample(text.batches, text.language_of_batch, languages, config.hidden_size,
                              pass_tokens),
          transformer.num_base_experts(), options.team};
}

/// All languages in the same passes, so that the model is read once for as many of them as fit.
std::vector<LayerProfile> profile_layers(const model::Transformer& transformer,
                                         const tokenizer::Corpus& corpus, const ProfileText& text,
                                         const ProfileOptions& options) {
  UseCounter uses(transformer, text, options.team);
  SoftmaxFloors floors = begin_floors(transformer, corpus, text, options);
  Progress progress("profiling", text.num_tokens, "tokens");
  eval::PassOptions passes;
  passes.observer = [&](const model::RouterTap& tap) {
    uses.tap(tap);
    floors.tap(tap);
  };
  passes.progress = &progress;
  passes.most_tokens = options.pass_tokens;
  passes.team = options.team;
  passes.after_layer = [&](int64_t layer, eval::PassRange pass) {
    if (transformer.config().layer_is_moe[static_cast<size_t>(layer)])
      floors.close_layer(layer, pass);
  };
  passes.after_pass = [&](eval::PassRange pass) { uses.close_pass(pass); };
  eval::run_passes(transformer, text.batches, passes, [](size_t, const at::Tensor&) {});
  progress.finish();
  std::vector<LayerProfile> layers = uses.profile_layers();
  for (LayerProfile& layer : layers) {
    for (const auto& [language, by_layer] : floors.by_text())
      layer.softmax_floor[language] = by_layer.at(layer.layer);
  }
  return layers;
}

/// Of every language's held-out text; scored together, for the same reason.
std::map<std::string, double> measure_bits_per_byte(const model::Transformer& transformer,
                                                    const tokenizer::Tokenizer& tokenizer,
                                                    const tokenizer::Corpus& corpus,
                                                    const ProfileOptions& profile) {
  std::vector<tokenizer::Document> all;
  std::map<std::string, size_t> end_of_language;
  for (const auto& [language, texts] : corpus.languages) {
    auto documents = tokenizer::read_documents({texts.heldout.begin(), texts.heldout.end()});
    for (tokenizer::Document& document : documents) all.push_back(std::move(document));
    end_of_language[language] = all.size();
  }
  eval::ScoreOptions options;
  options.progress_label = "bits per byte";
  options.team = profile.team;
  const auto scores = eval::score_documents(transformer, tokenizer, all, options);
  std::map<std::string, double> bits_per_byte;
  auto begin = scores.begin();
  for (const auto& [language, end] : end_of_language) {
    const auto next = scores.begin() + static_cast<std::ptrdiff_t>(end);
    bits_per_byte[language] = eval::bits_per_byte({begin, next});
    begin = next;
  }
  return bits_per_byte;
}

Profile profile_model(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const tokenizer::Corpus& corpus, const ProfileOptions& options) {
  if (!transformer.config().is_moe()) {
    throw NotComparable(transformer.config().family, "a dense model routes nothing to profile")
        .hint("make a mixture of experts of it first, or choose one");
  }
  check_texts(corpus, options);
  const at::NoGradGuard no_grad;
  Profile profile;
  for (const auto& [language, texts] : corpus.languages) profile.roles[language] = texts.role;
  const ProfileText text = sample_text(transformer, tokenizer, corpus, options.tokens_per_language);
  profile.layers = profile_layers(transformer, corpus, text, options);
  if (options.scores_heldout)
    profile.bits_per_byte = measure_bits_per_byte(transformer, tokenizer, corpus, options);
  profile.similarity = language_similarity(profile.layers);
  return profile;
}

}  // namespace

Profile profile_opened(const OpenModel& model, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options) {
  options.team.require_same(model.hash);
  Profile profile = profile_model(model.transformer, model.tokenizer, corpus, options);
  profile.model_hash = model.hash;
  return profile;
}

Profile profile_folder(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options) {
  return profile_opened(open_model(folder, {}), corpus, options);
}

}  // namespace polygraft::expand
