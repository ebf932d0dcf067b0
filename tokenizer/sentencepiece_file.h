// tokenizer/sentencepiece_file.h: a SentencePiece model file (a protocol buffer) checked before the
// library sees it, which trusts such files and does not show the types of pieces.
// Reference: sentencepiece_model.proto; protobuf.dev, "Encoding"; darts-clone for the character
// map.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft::tokenizer {

enum class PieceType { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct SentencePieceEntry {
  std::string text;
  float score = 0;
  PieceType type = PieceType::kNormal;
  bool operator==(const SentencePieceEntry&) const = default;
};

enum class SentencePieceAlgorithm { kUnigram = 1, kBpe = 2 };

struct SentencePieceFile {
  std::vector<SentencePieceEntry> pieces;  ///< by id
  SentencePieceAlgorithm algorithm = SentencePieceAlgorithm::kUnigram;
  bool byte_fallback = false;
};

/// @throws FormatError with the byte offset for a broken file, or naming the piece that cannot be;
/// NotBuiltError for a word or character model.
SentencePieceFile parse_sentencepiece_file(std::string_view bytes,
                                           const std::filesystem::path& where);

/// The same file without its pieces from `first` on.
std::string without_pieces_from(std::string_view bytes, size_t first,
                                const std::filesystem::path& where);

}  // namespace polygraft::tokenizer
