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
    std::string bytes;  ///< what it decodes to
    bool special = false;
    bool skipped = false;  ///< by decode(..., skip_special_tokens)
  };

  /// Adds a token, or finds the same one there. @throws FormatError when the id has another token,
  /// or is no id. @param where the file named in errors.
  void insert(const std::string& token, int64_t id, const fs::path& where);
  /// The reference decodes an added token that is looked for in normalised text to its normalised
  /// spelling, and asks of that spelling whether to skip it.
  void mark_added(TokenId id, bool special, std::string_view decoded, bool skipped);

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }    ///< highest id + 1
  int64_t num_tokens() const { return static_cast<int64_t>(ids_.size()); }  ///< holes not counted
  bool has(TokenId id) const { return id >= 0 && id < size() && !entry(id).token.empty(); }
  const Entry& entry(TokenId id) const { return entries_[static_cast<size_t>(id)]; }
  std::optional<TokenId> find(std::string_view token) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<Entry> entries_;
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
};

}  // namespace polygraft::tokenizer
