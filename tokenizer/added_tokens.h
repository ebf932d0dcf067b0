// tokenizer/added_tokens.h: tokens that are found in the text before anything else happens to it.
// Reference: Hugging Face tokenizers, tokenizer/added_vocabulary.rs `find_matches`.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool single_word = false;  ///< not when a word character touches it
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space behind it along
  bool normalized = false;   ///< looked for in the normalised text
  bool special = false;      ///< left out by decode(..., skip_special_tokens)
};

/// Of {"content": "<x>", "lstrip": true, ...}. @param file the one named in errors.
AddedToken read_added_token(const Json& json, TokenId id, const fs::path& file);

/// A part of a text: an added token, or text between two of them (id -1).
struct Section {
  std::string_view text;
  TokenId id = -1;
};

/// Finds a set of added tokens: leftmost first, of those the longest, without overlap.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  /// @param patterns what to look for, and the token it stands for; the first of two equal ones
  /// wins.
  explicit AddedTokenMatcher(std::vector<std::pair<std::string, AddedToken>> patterns);

  /// Appends the sections of `text`; none for an empty one. With white space stripped by a token,
  /// the sections of later tokens may overlap it, as they do in the reference.
  void split(std::string_view text, std::vector<Section>& sections) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, int32_t>> children;
    int32_t token = -1;
  };
  /// Index of the longest token that begins at `position`, or -1.
  int32_t longest_at(std::string_view text, size_t position) const;
  size_t next_candidate(std::string_view text, size_t from) const;

  std::vector<std::pair<std::string, AddedToken>> tokens_;
  std::vector<Node> nodes_;
  std::array<bool, 256> first_bytes_{};
};

}  // namespace polygraft::tokenizer
