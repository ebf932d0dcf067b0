// tokenizer/extend_guard.cpp: see extend_guard.h.
#include "tokenizer/extend_guard.h"

#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {

ExtendGuard::ExtendGuard(const Tokenizer& old,
                         const std::map<std::string, std::vector<fs::path>>& texts)
    : whole_pieces_matter_(bpe_of(old).model.takes_whole_pieces()) {
  for (const auto& [language, files] : texts) words_.add_files(old, files);
  std::vector<TokenId> symbols;
  for (const auto& [word, count] : words_.sorted()) {
    symbols.clear();
    bpe_of(old).model.encode_piece(word, symbols);
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      adjacent_.insert(pair_key(symbols[i], symbols[i + 1]));
    }
  }
}

}  // namespace polygraft::tokenizer
