// tokenizer/model_json.h: the `model` of a tokenizer.json. Its vocabulary and merges, nearly all of
// the file, are read in one pass without a document of them.
// Reference: Hugging Face tokenizers, models/bpe/serialization.rs.
#pragma once
#include <string>

#include "core/json.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/vocabulary.h"

namespace polygraft::tokenizer {

/// A tokenizer.json cut in two: where the long parts stand in the text, and a document of the rest,
/// in which they are empty.
struct SplitJson {
  static constexpr size_t kMissing = std::string::npos;
  Json rest;
  size_t vocab = kMissing, merges = kMissing;  ///< byte offsets of the values in the text
};

/// @throws FormatError with the position for text that is not UTF-8 or not valid JSON.
SplitJson split_tokenizer_json(const std::string& text, const fs::path& file);

/// Fills `vocabulary` with the model's own tokens. @param byte_level whether tokens are spelled in
/// the byte alphabet. @throws FormatError for a broken model, NotBuiltError for an unsupported one.
BpeParts read_bpe_model(const SplitJson& json, const std::string& text, const fs::path& file,
                        bool byte_level, Vocabulary& vocabulary);

}  // namespace polygraft::tokenizer
