// tokenizer/sentencepiece_pieces.h: a SentencePiece model file, and the library that encodes with
// it.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "tokenizer/sentencepiece_file.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace polygraft::tokenizer {

/// What a space is in a piece.
inline constexpr std::string_view kPieceSpace = "\u2581";

class SentencePieces {
 public:
  /// @param bytes of the model file. @throws FormatError naming `file` when they are none.
  SentencePieces(std::string bytes, const std::filesystem::path& file);
  ~SentencePieces();
  SentencePieces(const SentencePieces&) = delete;
  SentencePieces& operator=(const SentencePieces&) = delete;

  const std::string& bytes() const { return bytes_; }
  int size() const { return static_cast<int>(file_.pieces.size()); }
  std::vector<int> encode(const std::string& text) const;
  const std::string& text(int id) const { return file_.pieces[static_cast<size_t>(id)].text; }
  bool is_bpe() const { return file_.algorithm == SentencePieceAlgorithm::kBpe; }
  bool exists(const std::string& text) const { return texts_.count(text) != 0; }
  /// Whether the piece may become part of another: user-defined ones, for instance, may not.
  bool can_join(int id) const {
    return file_.pieces[static_cast<size_t>(id)].type == PieceType::kNormal;
  }
  float lowest_score() const;

 private:
  std::string bytes_;
  SentencePieceFile file_;
  std::unordered_set<std::string> texts_;
  std::unique_ptr<sentencepiece::SentencePieceProcessor> library_;
};

}  // namespace polygraft::tokenizer
