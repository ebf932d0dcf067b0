// tokenizer/sentencepiece_growth.cpp: see sentencepiece_growth.h.
#include "tokenizer/sentencepiece_growth.h"

#include "tokenizer/protobuf_writer.h"

namespace polygraft::tokenizer {
namespace {

namespace model_proto {
constexpr uint32_t kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3;
}
namespace piece {
constexpr uint32_t kText = 1, kScore = 2;
}
namespace trainer_spec {
constexpr uint32_t kVocabSize = 4;
}
namespace normalizer_spec {
constexpr uint32_t kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4;
}

}  // namespace

std::string with_pieces(std::string_view model, const std::vector<std::string>& pieces,
                        float first_score, int64_t vocab_size) {
  std::string result(model);
  float score = first_score;
  for (const std::string& text : pieces) {
    std::string message;
    append_bytes_field(message, piece::kText, text);
    append_float_field(message, piece::kScore, score--);
    append_bytes_field(result, model_proto::kPieces, message);
  }
  std::string spec;
  append_varint_field(spec, trainer_spec::kVocabSize, static_cast<uint64_t>(vocab_size));
  append_bytes_field(result, model_proto::kTrainerSpec, spec);
  return result;
}

std::string without_added_space(std::string_view model) {
  std::string spec, result(model);
  append_varint_field(spec, normalizer_spec::kAddDummyPrefix, 0);
  append_varint_field(spec, normalizer_spec::kRemoveExtraWhitespaces, 0);
  append_bytes_field(result, model_proto::kNormalizerSpec, spec);
  return result;
}

}  // namespace polygraft::tokenizer
