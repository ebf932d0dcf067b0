// tests/tokenizer/sample_sentencepiece.h: small tokenizer.model files, written field by field.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/sentencepiece_file.h"

namespace polygraft::tokenizer {

struct ModelOptions {
  uint64_t model_type = 2;  ///< 1 unigram, 2 BPE
  bool byte_fallback = true;
  std::string character_map;  ///< the normaliser's, compiled
};

/// The bytes of a model: <unk> <s> </s>, the bytes where wanted, then `pieces`, best first.
std::string sample_model(const std::vector<std::string>& pieces, const ModelOptions& options = {});

/// One more piece, to be put behind a model's bytes.
std::string piece_field(const std::string& text, float score, PieceType type);

}  // namespace polygraft::tokenizer
