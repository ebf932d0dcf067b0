// expand/verify_masked.cpp: logits with additions masked, compared bit by bit on fixed inputs.
// Legend: T tokens, V base vocabulary rows.
#include <algorithm>

#include "core/hash.h"
#include "core/random.h"
#include "core/text.h"
#include "eval/passes.h"
#include "expand/sequences.h"
#include "expand/verify_parts.h"

namespace polygraft::expand {

HeldoutTexts read_heldout(const tokenizer::Corpus& corpus, int64_t bytes_per_language) {
  HeldoutTexts texts;
  for (const std::string& language : corpus.with_role("old")) {
    const std::vector<std::string>& files = corpus.languages.at(language).heldout;
    if (!files.empty()) texts[language] = leading_documents(files, bytes_per_language);
  }
  return texts;
}

namespace {

/// Sequences of several lengths: positions, attention and batching all take part.
std::vector<Sequence> random_sequences(const model::ModelConfig& config) {
  RandomStream stream(0, "verify.probe");
  std::vector<Sequence> sequences;
  for (const int64_t wanted : {1, 7, 64, 128}) {
    Sequence sequence(static_cast<size_t>(std::min<int64_t>(wanted, config.max_positions)));
    for (tokenizer::TokenId& id : sequence) {
      id = static_cast<tokenizer::TokenId>(stream.below(static_cast<uint64_t>(config.vocab_rows)));
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

}  // namespace

std::vector<model::Batch> make_probes(const model::ModelFolder& base, const HeldoutTexts& texts) {
  constexpr int64_t kTextTokensPerLanguage = 256, kBatchTokens = 256;
  std::vector<Sequence> sequences = random_sequences(base.config);
  if (!texts.empty()) {
    const tokenizer::Tokenizer tokenizer = tokenizer::Tokenizer::load(base.path);
    for (const auto& [language, documents] : texts) {
      const auto more = encode_sequences(
          documents, tokenizer, {kTextTokensPerLanguage, sequence_tokens_for(base.config)});
      sequences.insert(sequences.end(), more.begin(), more.end());
    }
  }
  return make_batches(sequences, kBatchTokens);
}

std::vector<std::string> masked_logit_hashes(const model::Transformer& transformer,
                                             const std::vector<model::Batch>& probes) {
  const at::NoGradGuard no_grad;
  std::vector<std::string> hashes;
  eval::run_passes(transformer, probes, {model::Mask::all(), nullptr, nullptr},
                   [&](size_t, const at::Tensor& hidden_TD) {
                     const auto logits_TV =
                         transformer.logits(hidden_TD, model::Mask::all()).contiguous();
                     Sha256 hash;
                     hash.update(concat(logits_TV.sizes()));
                     hash.update(logits_TV.const_data_ptr(), logits_TV.nbytes());
                     hashes.push_back(hash.finish());
                   });
  return hashes;
}

}  // namespace polygraft::expand
