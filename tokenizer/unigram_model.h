// tokenizer/unigram_model.h: the best segmentation of a normalised text by a unigram model
// (Viterbi; Kudo 2018), in the arithmetic of sentencepiece 0.2.3: sums in float that start anew at
// -100,000, the first of equals stays. Older libraries, Debian 12's 0.1.97 among them, compare sums
// in double with stored floats and part from it where two segmentations are worth the same but for
// rounding.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class UnigramModel {
 public:
  /// @param file of type unigram, checked by parse_sentencepiece_file.
  explicit UnigramModel(const SentencePieceFile& file);

  /// A run of unknown characters is one unknown piece, or its bytes where the model has them.
  /// @param normalized as the library's normaliser leaves a text: "▁for ▁spaces".
  void encode_append(std::string_view normalized, std::vector<TokenId>& ids) const;

 private:
  /// A piece's beginning. Children stand side by side, by their bytes.
  struct Node {
    uint32_t first_child = 0, num_children = 0;
    TokenId piece = kNone;
    uint8_t byte = 0;
  };
  /// The best way to a place in the text: its worth and its last piece.
  struct Way {
    float score = 0;
    int32_t begin = kNone;
    TokenId piece = kNone;
    void offer(float candidate, int32_t from, TokenId with) {
      if (begin == kNone || candidate > score) *this = {candidate, from, with};
    }
  };
  static constexpr int32_t kNone = -1;

  void build_trie(const SentencePieceFile& file);
  const Node* child(const Node& node, uint8_t byte) const;
  void start_anew(std::vector<Way>& ways, size_t begin) const;
  std::vector<Way> best_ways(std::string_view text) const;

  std::vector<Node> nodes_;    ///< the root first
  std::vector<float> scores_;  ///< by id
  size_t longest_ = 0;         ///< piece, in bytes
  float unknown_score_ = 0;
  TokenId unknown_ = kNone;
  std::array<TokenId, 256> byte_ids_{};  ///< none without byte fallback
};

}  // namespace polygraft::tokenizer
