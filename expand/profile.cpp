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

/// By MoE layer. @param floors gathered on the way unless it is null.
std::map<int64_t, ExpertUse> count_experts(const model::Transformer& transformer,
                                           const std::vector<model::Batch>& batches,
                                           SoftmaxFloors* floors, Progress& progress) {
  std::map<int64_t, ExpertUse> counts;
  const int64_t num_experts = transformer.num_base_experts() + transformer.num_added_experts();
  const model::RouterObserver observer = [&](const model::RouterTap& tap) {
    const at::Tensor score_TE =
        tap.added_Tn.defined() ? at::cat({tap.base_TE, tap.added_Tn}, 1) : tap.base_TE;
    counts[tap.layer].add(model::count_choices(tap.routing, num_experts).to(at::kDouble),
                          at::softmax(score_TE, 1).sum(0, false, at::kDouble));
    if (floors != nullptr) floors->tap(tap);
  };
  eval::run_passes(transformer, batches, {{}, observer, &progress},
                   [](size_t, const at::Tensor&) {});
  return counts;
}

std::vector<double> shares(const at::Tensor& counts_E) {
  const at::Tensor share_E = (counts_E / counts_E.sum()).contiguous();
  const double* const data = share_E.const_data_ptr<double>();
  return {data, data + share_E.numel()};
}

void add_signature(const model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                   const std::string& language, const tokenizer::LanguageTexts& texts,
                   int64_t num_tokens, std::vector<LayerProfile>& layers) {
  constexpr int64_t kMaxBytesPerToken = 8;  // of any real text; more text than needed does no harm
  const auto documents = sample_documents(texts.train, num_tokens * kMaxBytesPerToken,
                                          RandomStream(0, "profile." + language));
  const std::vector<Sequence> sequences = encode_sequences(
      documents, tokenizer, {num_tokens, sequence_tokens_for(transformer.config())});
  Progress progress("profiling " + language, static_cast<uint64_t>(count_tokens(sequences)),
                    "tokens");
  SoftmaxFloors floors(transformer.num_base_experts());
  const bool with_floors = texts.role == "old" && !transformer.config().renormalize_top_k;
  const auto counts = count_experts(transformer, make_batches(sequences),
                                    with_floors ? &floors : nullptr, progress);
  progress.finish();
  if (layers.empty()) {
    for (const auto& [layer, ignored] : counts) layers.push_back({layer});
  }
  for (LayerProfile& layer : layers) {
    layer.signature[language] = shares(counts.at(layer.layer).chosen_E);
    layer.softmax[language] = shares(counts.at(layer.layer).softmax_E);
  }
  if (!with_floors) return;
  const auto by_layer = floors.finish();
  for (LayerProfile& layer : layers) layer.softmax_floor[language] = by_layer.at(layer.layer);
}

double measure_bits_per_byte(const model::Transformer& transformer,
                             const tokenizer::Tokenizer& tokenizer, const std::string& language,
                             const tokenizer::LanguageTexts& texts, int64_t num_bytes) {
  const std::vector<std::string>& files = texts.heldout;
  const auto documents = num_bytes > 0 ? leading_documents(files, num_bytes)
                                       : tokenizer::read_documents({files.begin(), files.end()});
  eval::ScoreOptions options;
  options.progress_label = "bits per byte of " + language;
  return eval::bits_per_byte(eval::score_documents(transformer, tokenizer, documents, options));
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
  for (const auto& [language, texts] : corpus.languages) {
    add_signature(transformer, tokenizer, language, texts, options.tokens_per_language,
                  profile.layers);
    profile.bits_per_byte[language] = measure_bits_per_byte(transformer, tokenizer, language, texts,
                                                            options.heldout_bytes_per_language);
    profile.roles[language] = texts.role;
  }
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
