// tokenizer/sentencepiece_fields.h: the field numbers of sentencepiece_model.proto that are read or
// written here, a namespace for each message.
#pragma once
#include <cstdint>

namespace polygraft::tokenizer {

namespace model_proto {
inline constexpr uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3, kDenormalizer = 5;
}
namespace piece_proto {
inline constexpr uint32_t kText = 1, kScore = 2, kType = 3;
}
namespace trainer_proto {
inline constexpr uint32_t kModelType = 3, kVocabSize = 4, kByteFallback = 35;
}
namespace normalizer_proto {
inline constexpr uint32_t kCharacterMap = 2, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4;
}

}  // namespace polygraft::tokenizer
