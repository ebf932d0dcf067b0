// tokenizer/grown_tokenizer.cpp: see grown_tokenizer.h.
#include "tokenizer/grown_tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/sentencepiece_tokenizer.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/tokenizer_json.h"

namespace polygraft::tokenizer {
namespace {

/// A pinned token is a token of the model from then on. @throws NotBuiltError where that would cut
/// old text otherwise: as a byte that had no token, or as a whole piece (`ignore_merges`) that the
/// search for added tokens had passed over.
void refuse_new_pieces(const Json& root, const std::string& token, const fs::path& source) {
  const auto bytes = from_alphabet(token);
  if (!bytes) return;
  const auto& entries = root["added_tokens"];
  const bool single_word = std::any_of(entries.begin(), entries.end(), [&](const Json& entry) {
    return entry["content"] == token && json_get_or(entry, "single_word", false, source);
  });
  const bool whole = json_get_or(root["model"], "ignore_merges", false, source);
  if (bytes->size() > 1 && !(whole && (single_word || *bytes != token))) return;
  throw NotBuiltError("extending a tokenizer.json with an added token that would become a piece")
      .found(concat(source.string(), ": added token '", token, "', which model.vocab lacks"))
      .hint("enter it in model.vocab with its id, if old text may be cut by it");
}

/// Hugging Face tokenizers number added tokens that model.vocab lacks from its size on. New entries
/// would shift them, so they are entered with the ids they have.
void pin_added_tokens(const std::string& source_text, const fs::path& source, const Tokenizer& old,
                      VocabularyAdditions& additions) {
  const Json root = parse_json(source_text, source);
  const Json& vocabulary = root["model"]["vocab"];
  std::vector<std::pair<std::string, TokenId>> pinned;
  for (TokenId id = 0; id < old.size(); ++id) {
    const std::string& token = old.token(id);
    if (!token.empty() && !vocabulary.contains(token)) {
      refuse_new_pieces(root, token, source);
      pinned.emplace_back(token, id);
    }
  }
  additions.tokens.insert(additions.tokens.begin(), pinned.begin(), pinned.end());
}

}  // namespace

GrownTokenizer::GrownTokenizer(const fs::path& file, const Tokenizer& old,
                               VocabularyAdditions additions)
    : file_(file), additions_(std::move(additions)), text_(read_file(file)) {
  if (is_sentencepiece(file)) {
    std::vector<std::string> pieces;
    for (const auto& [piece, id] : additions_.tokens) pieces.push_back(piece);
    text_ = with_pieces(text_, pieces, file);
  } else {
    pin_added_tokens(text_, file, old, additions_);
    text_ = add_to_tokenizer_json(text_, additions_, file);
  }
}

Tokenizer GrownTokenizer::load(const fs::path& named_after) const {
  const auto parse = is_sentencepiece(file_) ? parse_sentencepiece : parse_tokenizer;
  return Tokenizer(parse(text_, named_after, file_.parent_path()));
}

void GrownTokenizer::write(const fs::path& folder) const {
  copy_tokenizer_settings(file_.parent_path(), folder);
  if (is_sentencepiece(file_)) {
    write_file_atomically(folder / "tokenizer.model", text_);
    return;
  }
  write_older_files(folder);
  write_file_atomically(folder / "tokenizer.json", text_);
}

void GrownTokenizer::write_older_files(const fs::path& folder) const {
  const fs::path vocab = file_.parent_path() / "vocab.json",
                 merges = file_.parent_path() / "merges.txt";
  if (!fs::exists(vocab) || !fs::exists(merges)) return;
  const std::string vocab_text = read_file(vocab);
  const Json known = parse_json(vocab_text, vocab);
  VocabularyAdditions lacking = additions_;  // pinned tokens may stand there already
  std::erase_if(lacking.tokens, [&](const auto& entry) { return known.contains(entry.first); });
  write_file_atomically(folder / "vocab.json", add_to_vocab_json(vocab_text, lacking, vocab));
  write_file_atomically(folder / "merges.txt", add_to_merges_txt(read_file(merges), additions_));
}

}  // namespace polygraft::tokenizer
