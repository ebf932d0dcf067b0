// tokenizer/extend_guard.cpp: see extend_guard.h.
#include "tokenizer/extend_guard.h"

#include "core/parallel.h"
#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {

/// What one thread has found. A piece is looked at when it is new; the list of those that are not
/// is emptied when it is long, which costs time and changes nothing.
struct ExtendGuard::Reader {
  static constexpr size_t kMostSeen = 1 << 20;

  void read(const BpeTokenizer& old, std::string_view piece) {
    if (seen.find(piece) != seen.end()) return;
    if (seen.size() == kMostSeen) seen.clear();
    seen.emplace(piece);
    symbols.clear();
    old.model.encode_piece(piece, symbols);
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      adjacent.insert(pair_key(symbols[i], symbols[i + 1]));
    }
    if (old.model.takes_whole_pieces() && symbols.size() > 1) pieces.insert(hash(piece));
  }

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_set<std::string, Hash, std::equal_to<>> seen;
  std::unordered_set<uint64_t> adjacent, pieces;
  std::vector<TokenId> symbols;
};

ExtendGuard::ExtendGuard(const Tokenizer& old,
                         const std::map<std::string, std::vector<fs::path>>& texts,
                         int num_threads) {
  const BpeTokenizer& bpe = bpe_of(old);
  std::vector<fs::path> all;
  for (const auto& [language, files] : texts) all.insert(all.end(), files.begin(), files.end());
  std::vector<Reader> readers(resolve_num_threads(num_threads));
  for_each_document_unordered(all, num_threads, [&](Document&& document, size_t thread) {
    throw_if_stopped();
    bpe.for_each_piece(
        document.text, [](TokenId) {},
        [&](std::string_view piece) { readers[thread].read(bpe, piece); });
  });
  for (Reader& reader : readers) {
    adjacent_.merge(reader.adjacent);
    pieces_.merge(reader.pieces);
    reader = {};
  }
}

}  // namespace polygraft::tokenizer
