// tokenizer/sentencepiece_growth.h: a SentencePiece model file with pieces appended. Reference:
// sentencepiece_model.proto (ModelProto, TrainerSpec, NormalizerSpec).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft::tokenizer {

/// The model with `pieces` behind all others, scores falling by one from `first_score`.
std::string with_pieces(std::string_view model, const std::vector<std::string>& pieces,
                        float first_score, int64_t vocab_size);

/// The model as it encodes a text that is no beginning of a line: without the space put before it,
/// and with all of its own spaces.
std::string without_added_space(std::string_view model);

}  // namespace polygraft::tokenizer
