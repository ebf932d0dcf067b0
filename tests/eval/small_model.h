// tests/eval/small_model.h: a mixture of experts small enough for unit tests, and the texts of the
// lm-eval fixture to score with it.
#pragma once
#include "model/architecture/transformer.h"
#include "tests/eval/fixture.h"
#include "tests/model/architecture/tiny_model.h"
#include "tokenizer/corpus.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::eval {

inline const std::vector<tokenizer::Document>& documents() {
  static const auto read = tokenizer::read_documents({fixture_path("lm_eval/de.jsonl")});
  return read;
}

inline tokenizer::Tokenizer byte_tokenizer() {
  return tokenizer::Tokenizer::load(fixture_path("lm_eval/model"));
}

inline model::ModelConfig small_moe() {
  model::ModelConfig config;
  config.family = "qwen3_moe";
  config.num_layers = 2;
  config.hidden_size = 16;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 8;
  config.vocab_rows = 257;
  config.expert_width = 8;
  config.num_experts = 4;
  config.top_k = 2;
  config.renormalize_top_k = true;
  config.layer_is_moe = {true, true};
  config.qk_norm = model::QkNorm::kPerHead;
  config.max_positions = 32;
  config.dtype = model::Dtype::kF32;
  return config;
}

/// The same base weights with three experts a layer and five vocabulary rows added.
inline model::Transformer grown_moe() {
  model::ModelConfig config = small_moe();
  const model::Weights base = model::random_weights(config, 5, at::kFloat);
  at::manual_seed(9);
  config.num_experts += 3;
  config.vocab_rows += 5;
  return {config, testing::grown(base, 3, 5)};
}

}  // namespace polygraft::eval
