// expand/verify_masked.cpp: logits with additions masked, compared bit by bit on fixed inputs.
// Legend: T tokens, V base vocabulary rows.
#include <algorithm>
#include <cstring>

#include "core/random.h"
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

MaskedComparison::MaskedComparison(const model::Transformer& base,
                                   const model::Transformer& expanded,
                                   const std::vector<model::Batch>& probes)
    : base_(base),
      expanded_(expanded),
      base_walk_(base, probes, model::Mask::all()),
      expanded_walk_(expanded, probes, model::Mask::all()) {}

void MaskedComparison::run_layer(int64_t layer) {
  base_walk_.run_layer(layer);
  expanded_walk_.run_layer(layer);
}

bool MaskedComparison::equal() {
  const std::vector<at::Tensor> base_TD = base_walk_.finish();
  const std::vector<at::Tensor> expanded_TD = expanded_walk_.finish();
  for (size_t i = 0; i < base_TD.size(); ++i) {
    const auto base_TV = base_.logits(base_TD[i], model::Mask::all()).contiguous();
    const auto expanded_TV = expanded_.logits(expanded_TD[i], model::Mask::all()).contiguous();
    // Bits, not values: a NaN equals itself, and 0 is not -0.
    if (base_TV.sizes() != expanded_TV.sizes() ||
        std::memcmp(base_TV.const_data_ptr(), expanded_TV.const_data_ptr(), base_TV.nbytes()) !=
            0) {
      return false;
    }
  }
  return true;
}

}  // namespace polygraft::expand
