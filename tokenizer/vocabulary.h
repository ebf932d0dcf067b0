// tokenizer/vocabulary.h: the two-way table of token texts and ids, model and added tokens
// together.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class Vocabulary {
 public:
  struct Entry {
    std::string token;  ///< as tokenizer.json spells it; "" for a hole
    std::string bytes;  ///< what it decodes to in the middle of a text
    bool special = false;
    bool skipped = false;  ///< by decode(..., skip_special_tokens)
  };

  /// Adds a token, or finds the same one there. @throws FormatError when the id has another token,
  /// or is no id. @param where the file named in errors.
  void insert(std::string_view token, int64_t id, const fs::path& where);
  /// The reference decodes an added token that is looked for in normalised text to its normalised
  /// spelling, and asks of that spelling whether to skip it.
  void mark_added(TokenId id, bool special, std::string_view spelling, bool skipped);
  /// Fills every token's bytes: bytes_of(spelling).
  template <class BytesOf>
  void set_bytes(const BytesOf& bytes_of) {
    for (TokenId id = 0; id < size(); ++id) {
      if (has(id)) entries_[static_cast<size_t>(id)].bytes = bytes_of(spelling(id));
    }
  }

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }  ///< highest id + 1
  int64_t num_tokens() const { return num_tokens_; }                      ///< holes not counted
  bool has(TokenId id) const { return id >= 0 && id < size() && !entry(id).token.empty(); }
  const Entry& entry(TokenId id) const { return entries_[static_cast<size_t>(id)]; }
  /// What the decoder is given for a token.
  const std::string& spelling(TokenId id) const;
  std::optional<TokenId> find(std::string_view token) const;

 private:
  static constexpr TokenId kFree = -1;
  /// An id by the hash of its token; the hash is kept, so that another token's slot is passed over,
  /// and the table grown, without a look at the entries.
  struct Slot {
    uint32_t hash = 0;
    TokenId id = kFree;
  };
  static uint32_t hash_of(std::string_view token);
  /// The slot of `token`, or the free one that it would take.
  size_t slot_of(std::string_view token, uint32_t hash) const;
  void grow_slots();

  std::vector<Entry> entries_;
  std::unordered_map<TokenId, std::string>
      spellings_;  ///< of added tokens, where another than `token`
  std::vector<Slot> slots_ = std::vector<Slot>(64);  ///< open addressing; at most half full
  int64_t num_tokens_ = 0;
};

}  // namespace polygraft::tokenizer
