// tokenizer/sentencepiece_growth.h: a SentencePiece model file with pieces appended. Reference:
// sentencepiece_model.proto (ModelProto, TrainerSpec, NormalizerSpec).
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft::tokenizer {

/// The bytes of `model`, then the pieces, each score lower than all before it, by one or by as
/// little as a float can tell. @throws FormatError when no float is lower.
std::string with_pieces(std::string_view model, const std::vector<std::string>& pieces,
                        const std::filesystem::path& where);

/// The texts of the pieces that `grown` has behind those of `model`. @throws FormatError naming
/// what else differs: with_pieces() makes `grown` out of the two.
std::vector<std::string> added_pieces(std::string_view model, std::string_view grown,
                                      const std::filesystem::path& where);

/// The model as it encodes a text that is no beginning of a line: without the space put before it,
/// and with all of its own spaces.
std::string without_added_space(std::string_view model);

}  // namespace polygraft::tokenizer
