// tokenizer/grown_tokenizer.cpp: see grown_tokenizer.h.
#include "tokenizer/grown_tokenizer.h"

#include "core/file.h"
#include "core/json.h"
#include "tokenizer/extend_parts.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/sentencepiece_tokenizer.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/tokenizer_json.h"

namespace polygraft::tokenizer {
namespace {

/// Hugging Face tokenizers number added tokens that model.vocab lacks from its size on. New entries
/// would shift them, so they are entered with the ids they have.
void pin_added_tokens(const std::string& source_text, const fs::path& source, const Tokenizer& old,
                      VocabularyAdditions& additions) {
  const Json root = parse_json(source_text, source);
  const Json& vocabulary = root["model"]["vocab"];
  std::vector<std::pair<std::string, TokenId>> pinned;
  for (TokenId id = 0; id < old.size(); ++id) {
    const std::string& token = old.token(id);
    if (!token.empty() && !vocabulary.contains(token)) pinned.emplace_back(token, id);
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
  parse_json(vocab_text, vocab);
  write_file_atomically(folder / "vocab.json", add_to_vocab_json(vocab_text, additions_, vocab));
  write_file_atomically(folder / "merges.txt", add_to_merges_txt(read_file(merges), additions_));
}

}  // namespace polygraft::tokenizer
