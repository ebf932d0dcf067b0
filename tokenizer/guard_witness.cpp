// tokenizer/guard_witness.cpp: the text that forbids a merge; see merge_filter.h.
#include <unordered_map>
#include <unordered_set>

#include "core/stop.h"
#include "tokenizer/bpe_tokenizer.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/corpus.h"
#include "tokenizer/merge_filter.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kPiecesAround = 4;  ///< shown before and after the piece that forbids

/// What is still looked for: pairs of adjacent old tokens, and pieces that are tokens as a whole
/// where the tokenizer has `ignore_merges`.
class WitnessSearch {
 public:
  WitnessSearch(const Tokenizer& old, std::vector<GuardRejection>& rejections)
      : old_(old), rejections_(rejections) {
    const bool whole_pieces_matter = bpe_of(old).model.takes_whole_pieces();
    for (size_t i = 0; i < rejections.size(); ++i) {
      const GuardRejection& rejection = rejections[i];
      pairs_[pair_key(rejection.left, rejection.right)] = i;
      if (!whole_pieces_matter) continue;
      std::string spelled = rejection.pair;
      spelled.erase(spelled.find(' '), 1);
      pieces_[from_alphabet(spelled).value_or(spelled)] = i;
    }
  }

  bool finished() const { return pairs_.empty() && pieces_.empty(); }

  void read(const std::string& language, const Document& document) {
    size_t index = 0;
    bpe_of(old_).for_each_piece(
        document.text, [](TokenId) {},
        [&](std::string_view piece) {
          for (const size_t found : forbidden_by(piece)) note(found, language, document, index);
          ++index;
        });
  }

 private:
  /// Rejections that this piece forbids and none before did.
  std::vector<size_t> forbidden_by(std::string_view piece) {
    std::vector<size_t> found;
    if (!seen_.emplace(piece).second) return found;
    if (const auto whole = pieces_.find(std::string(piece)); whole != pieces_.end()) {
      found.push_back(whole->second);
    }
    ids_.clear();
    bpe_of(old_).model.encode_piece(piece, ids_);
    for (size_t i = 0; i + 1 < ids_.size(); ++i) {
      const auto pair = pairs_.find(pair_key(ids_[i], ids_[i + 1]));
      if (pair != pairs_.end()) found.push_back(pair->second);
    }
    return found;
  }

  void note(size_t index, const std::string& language, const Document& document, size_t piece) {
    GuardRejection& rejection = rejections_[index];
    pairs_.erase(pair_key(rejection.left, rejection.right));
    std::erase_if(pieces_, [&](const auto& entry) { return entry.second == index; });
    if (!rejection.document.empty()) return;
    rejection.language = language;
    rejection.document = document.id;
    rejection.text = pieces_around(document.text, piece);
  }

  std::string pieces_around(const std::string& text, size_t middle) const {
    std::string around;
    size_t index = 0;
    bpe_of(old_).for_each_piece(
        text, [](TokenId) {},
        [&](std::string_view piece) {
          if (index + kPiecesAround >= middle && index <= middle + kPiecesAround) around += piece;
          ++index;
        });
    return around;
  }

  const Tokenizer& old_;
  std::vector<GuardRejection>& rejections_;
  std::unordered_map<uint64_t, size_t> pairs_;
  std::unordered_map<std::string, size_t> pieces_;
  std::unordered_set<std::string> seen_;
  std::vector<TokenId> ids_;
};

}  // namespace

void find_witnesses(const Tokenizer& old,
                    const std::map<std::string, std::vector<fs::path>>& guard_texts,
                    std::vector<GuardRejection>& rejections) {
  WitnessSearch search(old, rejections);
  for (const auto& [language, files] : guard_texts) {
    for (const fs::path& file : files) {
      if (search.finished()) return;
      for_each_document(file, [&](Document&& document) {
        throw_if_stopped();
        if (!search.finished()) search.read(language, document);
      });
    }
  }
}

}  // namespace polygraft::tokenizer
