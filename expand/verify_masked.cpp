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

std::vector<at::Tensor> masked_logits(const model::Transformer& transformer,
                                      const std::vector<model::Batch>& probes) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> logits_TV;
  for (const model::Batch& probe : probes) {
    const at::Tensor hidden_TD = transformer.hidden(probe, model::Mask::all());
    logits_TV.push_back(transformer.logits(hidden_TD, model::Mask::all()).contiguous());
  }
  return logits_TV;
}

bool bitwise_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) {
                      return x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() &&
                             std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
                    });
}

}  // namespace polygraft::expand
