// tokenizer/character_table.h: code points to token ids, in pages of 256 that exist where a token
// does.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

class CharacterTable {
 public:
  void insert(char32_t character, TokenId id) {
    uint16_t& page = page_of_[character >> 8];
    if (page == 0) {
      pages_.emplace_back().fill(-1);
      page = static_cast<uint16_t>(pages_.size());
    }
    pages_[page - 1][character & 0xFF] = id;
  }
  /// -1 for a character without a token.
  TokenId find(char32_t character) const {
    const uint16_t page = page_of_[character >> 8];
    return page == 0 ? -1 : pages_[page - 1][character & 0xFF];
  }

 private:
  std::array<uint16_t, 0x1100> page_of_{};  ///< one more than its place in pages_; 0 where none is
  std::vector<std::array<TokenId, 256>> pages_;
};

}  // namespace polygraft::tokenizer
