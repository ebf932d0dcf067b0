// tests/tokenizer/sample_sentencepiece.cpp: see sample_sentencepiece.h. Field numbers are those of
// sentencepiece_model.proto.
#include "sample_sentencepiece.h"

#include "sample_tokenizer.h"
#include "tokenizer/protobuf_writer.h"

namespace polygraft::tokenizer {

std::string piece_field(const std::string& text, float score, PieceType type) {
  std::string piece, field;
  append_bytes_field(piece, 1, text);
  append_float_field(piece, 2, score);
  append_varint_field(piece, 3, static_cast<uint64_t>(type));
  append_bytes_field(field, 1, piece);
  return field;
}

std::string sample_model(const std::vector<std::string>& pieces, const ModelOptions& options) {
  std::string file = piece_field("<unk>", 0, PieceType::kUnknown) +
                     piece_field("<s>", 0, PieceType::kControl) +
                     piece_field("</s>", 0, PieceType::kControl);
  for (int byte = 0; options.byte_fallback && byte < 256; ++byte) {
    file += piece_field(byte_token(byte), 0, PieceType::kByte);
  }
  float score = 0;
  for (const std::string& piece : pieces) {
    file += piece_field(piece, score -= 1, PieceType::kNormal);
  }
  std::string trainer, normalizer;
  append_varint_field(trainer, 3, options.model_type);
  append_varint_field(trainer, 35, options.byte_fallback ? 1 : 0);
  append_bytes_field(normalizer, 1, "identity");
  if (!options.character_map.empty()) append_bytes_field(normalizer, 2, options.character_map);
  append_varint_field(normalizer, 3, 1);
  append_varint_field(normalizer, 4, 0);
  append_bytes_field(file, 2, trainer);
  append_bytes_field(file, 3, normalizer);
  return file;
}

}  // namespace polygraft::tokenizer
