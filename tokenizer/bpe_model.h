// tokenizer/bpe_model.h: byte-pair encoding of one piece of text (Sennrich et al. 2016).
// The adjacent pair of lowest rank is merged first, the leftmost of equal ones, until none is left.
// Reference: Hugging Face tokenizers, models/bpe/{model,word}.rs.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/character_table.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

/// What a BPE model is made of. It starts from bytes, or from characters (models made by
/// SentencePiece); the merges are the same.
struct BpeParts {
  bool byte_level = true;
  /// The token of each byte, -1 where there is none. A model that starts from characters falls back
  /// to them for a character without a token, when there is one for each of its bytes.
  std::array<TokenId, 256> byte_ids{};
  CharacterTable characters;  ///< where not `byte_level`
  MergeTable merges;
  /// Whole pieces (as bytes) that are tokens, for models with `ignore_merges`; else empty.
  std::unordered_map<std::string, TokenId> whole_pieces;
  /// What a byte or character without a token becomes; without it, it is dropped, as in the
  /// reference.
  std::optional<TokenId> unknown;
  bool fuse_unknown = false;
};

class BpeModel {
 public:
  explicit BpeModel(BpeParts parts);

  /// Appends the ids of one piece. Linear in practice for short pieces, O(n log n) for long ones.
  void encode_piece(std::string_view piece, std::vector<TokenId>& ids) const;

  /// The same by merges alone, without the cache of words and without `whole_pieces`.
  void merge_piece(std::string_view piece, std::vector<TokenId>& ids) const;

  const BpeParts& parts() const { return parts_; }

 private:
  void encode_uncached(std::string_view piece, std::vector<TokenId>& ids) const;
  void append_symbols(std::string_view piece, std::vector<TokenId>& ids) const;
  void append_bytes(std::string_view piece, std::vector<TokenId>& ids) const;
  void append_characters(std::string_view piece, std::vector<TokenId>& ids) const;
  bool append_fallback(std::string_view character, std::vector<TokenId>& ids) const;
  void merge_short(std::vector<TokenId>& ids, size_t first) const;
  void merge_long(std::vector<TokenId>& ids, size_t first) const;

  BpeParts parts_;
  uint64_t serial_;  ///< tells this model's cached words from another's
};

}  // namespace polygraft::tokenizer
