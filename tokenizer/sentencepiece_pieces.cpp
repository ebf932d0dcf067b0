// tokenizer/sentencepiece_pieces.cpp: see sentencepiece_pieces.h.
#include "tokenizer/sentencepiece_pieces.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "core/error.h"

namespace polygraft::tokenizer {

SentencePieces::SentencePieces(std::string bytes, const std::filesystem::path& file)
    : bytes_(std::move(bytes)),
      file_(parse_sentencepiece_file(bytes_, file)),
      library_(std::make_unique<sentencepiece::SentencePieceProcessor>()) {
  const auto status = library_->LoadFromSerializedProto(bytes_);
  if (!status.ok()) {
    throw FormatError(file, "the sentencepiece library cannot read it").found(status.ToString());
  }
  for (const SentencePieceEntry& entry : file_.pieces) texts_.insert(entry.text);
}

SentencePieces::~SentencePieces() = default;

std::vector<int> SentencePieces::encode(const std::string& text) const {
  return library_->EncodeAsIds(text);
}

float SentencePieces::lowest_score() const {
  float lowest = 0;
  for (const SentencePieceEntry& entry : file_.pieces) lowest = std::min(lowest, entry.score);
  return lowest;
}

}  // namespace polygraft::tokenizer
