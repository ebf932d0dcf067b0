// expand/profile.cpp: routing signatures, similarities and bits per byte of a model over a corpus.
// Legend: T tokens, K experts per token.
#include "expand/profile.h"

#include "core/error.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/passes.h"
#include "eval/scoring.h"
#include "expand/packs/open_model.h"
#include "expand/sequences.h"
#include "expand/similarity.h"
#include "expand/softmax_floor.h"

namespace polygraft::expand {

namespace {

void check_texts(const tokenizer::Corpus& corpus) {
  Problems problems;
  for (const auto& [language, texts] : corpus.languages) {
    const std::string path = "languages." + language;
    problems.require(!texts.train.empty(), path + ".train", "[]", "must list a file to profile");
    problems.require(!texts.heldout.empty(), path + ".heldout", "[]",
                     "must list a file to measure bits per byte on");
  }
  if (corpus.languages.empty()) problems.add("languages: the corpus lists none");
  problems.throw_if_any("corpus");
}

/// How often each expert was chosen, and the sum of its weights in the softmax. float64 [E].
struct ExpertUse {
  at::Tensor chosen_E, softmax_E;

  void add(const at::Tensor& chosen, const at::Tensor& softmax) {
    chosen_E = chosen_E.defined() ? chosen_E + chosen : chosen;
    softmax_E = softmax_E.defined() ? softmax_E + softmax : softmax;
  }
};

std::vector<double> shares(const at::Tensor& counts_E) {
  const at::Tensor share_E = (counts_E / counts_E.sum()).contiguous();
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
  constexpr int64_t kMaxBytesPerToken = 8;  // of any real text; more text than needed does no harm
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

/// By MoE layer and language.
using ExpertUses = std::map<int64_t, std::map<std::string, ExpertUse>>;
using FloorsByLanguage = std::map<std::string, SoftmaxFloors>;

/// All languages in the same passes, so that the model is read once for as many of them as fit.
/// @param floors gathered on the way, of the languages that are in it.
ExpertUses count_experts(const model::Transformer& transformer, const ProfileText& text,
                         FloorsByLanguage& floors) {
  ExpertUses uses;
  const int64_t num_experts = transformer.num_base_experts() + transformer.num_added_experts();
  const model::RouterObserver observer = [&](const model::RouterTap& tap) {
    const at::Tensor score_TE =
        tap.added_Tn.defined() ? at::cat({tap.base_TE, tap.added_Tn}, 1) : tap.base_TE;
    const std::string& language = text.language_of_batch[tap.batch];
    uses[tap.layer][language].add(model::count_choices(tap.routing, num_experts).to(at::kDouble),
                                  at::softmax(score_TE, 1).sum(0, false, at::kDouble));
    if (const auto found = floors.find(language); found != floors.end()) found->second.tap(tap);
  };
  Progress progress("profiling", text.num_tokens, "tokens");
  eval::run_passes(transformer, text.batches, {{}, observer, &progress},
                   [](size_t, const at::Tensor&) {});
  progress.finish();
  return uses;
}

std::vector<LayerProfile> profile_layers(const ExpertUses& uses) {
  std::vector<LayerProfile> layers;
  for (const auto& [index, by_language] : uses) {
    LayerProfile& layer = layers.emplace_back(LayerProfile{index});
    for (const auto& [language, use] : by_language) {
      layer.signature[language] = shares(use.chosen_E);
      layer.softmax[language] = shares(use.softmax_E);
    }
  }
  return layers;
}

/// Old languages' floors, in a model that does not renormalise.
FloorsByLanguage begin_floors(const model::Transformer& transformer,
                              const tokenizer::Corpus& corpus) {
  FloorsByLanguage floors;
  if (transformer.config().renormalize_top_k) return floors;
  for (const std::string& language : corpus.with_role("old")) {
    floors.emplace(language, transformer.num_base_experts());
  }
  return floors;
}

/// Of every language's held-out text; scored together, for the same reason.
std::map<std::string, double> measure_bits_per_byte(const model::Transformer& transformer,
                                                    const tokenizer::Tokenizer& tokenizer,
                                                    const tokenizer::Corpus& corpus,
                                                    int64_t num_bytes) {
  std::vector<tokenizer::Document> all;
  std::map<std::string, size_t> end_of_language;
  for (const auto& [language, texts] : corpus.languages) {
    const std::vector<std::string>& files = texts.heldout;
    auto documents = num_bytes > 0 ? leading_documents(files, num_bytes)
                                   : tokenizer::read_documents({files.begin(), files.end()});
    for (tokenizer::Document& document : documents) all.push_back(std::move(document));
    end_of_language[language] = all.size();
  }
  eval::ScoreOptions options;
  options.progress_label = "bits per byte";
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

}  // namespace

Profile profile_model(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                      const tokenizer::Corpus& corpus, const ProfileOptions& options) {
  if (!transformer.config().is_moe()) {
    throw NotComparable(transformer.config().family, "a dense model routes nothing to profile")
        .hint("make a mixture of experts of it first, or choose one");
  }
  check_texts(corpus);
  const at::NoGradGuard no_grad;
  Profile profile;
  for (const auto& [language, texts] : corpus.languages) profile.roles[language] = texts.role;
  FloorsByLanguage floors = begin_floors(transformer, corpus);
  profile.layers = profile_layers(count_experts(
      transformer, sample_text(transformer, tokenizer, corpus, options.tokens_per_language),
      floors));
  for (auto& [language, gathered] : floors) {
    const auto by_layer = gathered.finish();
    for (LayerProfile& layer : profile.layers) {
      layer.softmax_floor[language] = by_layer.at(layer.layer);
    }
  }
  profile.bits_per_byte =
      measure_bits_per_byte(transformer, tokenizer, corpus, options.heldout_bytes_per_language);
  profile.similarity = language_similarity(profile.layers);
  return profile;
}

Profile profile_opened(const OpenModel& model, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options) {
  Profile profile = profile_model(model.transformer, model.tokenizer, corpus, options);
  profile.model_hash = model.hash;
  return profile;
}

Profile profile_folder(const model::ModelFolder& folder, const tokenizer::Corpus& corpus,
                       const ProfileOptions& options) {
  return profile_opened(open_model(folder, {}), corpus, options);
}

}  // namespace polygraft::expand
