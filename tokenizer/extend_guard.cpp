// tokenizer/extend_guard.cpp: see extend_guard.h.
#include "tokenizer/extend_guard.h"

#include "core/parallel.h"
#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/corpus.h"

namespace polygraft::tokenizer {

/// A set of keys with the ones seen last in front of it: nearly all that text brings are known.
struct ExtendGuard::Keys {
  std::unordered_set<uint64_t> all;
  std::vector<uint64_t> recent = std::vector<uint64_t>(size_t{1} << kRecentBits, kNoKey);

  void insert(uint64_t key) {
    uint64_t& slot = recent[mix_key(key) >> (64 - kRecentBits)];
    if (slot == key && key != kNoKey) return;
    slot = key;
    all.insert(key);
  }
  static constexpr int kRecentBits = 16;
  static constexpr uint64_t kNoKey = UINT64_MAX;
};

/// What one thread has found.
struct ExtendGuard::Reader {
  Keys adjacent, pieces;
  std::vector<TokenId> symbols;

  void read(const BpeTokenizer& old, std::string_view piece) {
    symbols.clear();
    old.model.encode_piece(piece, symbols);
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      adjacent.insert(pair_key(symbols[i], symbols[i + 1]));
    }
    if (old.model.takes_whole_pieces() && symbols.size() > 1) pieces.insert(hash(piece));
  }
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
    adjacent_.merge(reader.adjacent.all);
    pieces_.merge(reader.pieces.all);
    reader = {};
  }
}

}  // namespace polygraft::tokenizer
