// tokenizer/extension_files.cpp: see extension_files.h.
#include "tokenizer/extension_files.h"

#include "core/file.h"
#include "core/json.h"
#include "tokenizer/extend_parts.h"

namespace polygraft::tokenizer {

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

void write_extension(const fs::path& source_folder, const std::string& tokenizer_json,
                     const VocabularyAdditions& additions, const fs::path& folder) {
  copy_tokenizer_settings(source_folder, folder);
  const fs::path vocab = source_folder / "vocab.json", merges = source_folder / "merges.txt";
  if (fs::exists(vocab) && fs::exists(merges)) {
    const std::string vocab_text = read_file(vocab);
    parse_json(vocab_text, vocab);
    write_file_atomically(folder / "vocab.json", add_to_vocab_json(vocab_text, additions, vocab));
    write_file_atomically(folder / "merges.txt", add_to_merges_txt(read_file(merges), additions));
  }
  write_file_atomically(folder / "tokenizer.json", tokenizer_json);
}

}  // namespace polygraft::tokenizer
