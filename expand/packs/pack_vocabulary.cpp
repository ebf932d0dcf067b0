// expand/packs/pack_vocabulary.cpp: see pack_vocabulary.h.
#include "expand/packs/pack_vocabulary.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/sentencepiece_growth.h"
#include "tokenizer/tokenizer_file.h"

namespace polygraft::expand {

namespace {

void check_added_tokens(const Json& before, const Json& after, const fs::path& file) {
  const Json none = Json::array();
  if (before.value("added_tokens", none) == after.value("added_tokens", none)) return;
  throw FormatError(file, "its added tokens are not the base's")
      .expected("new tokens in model.vocab, each made by a merge")
      .hint("a pack carries vocabulary and merges; enter special tokens into the base");
}

/// The merges behind the base's.
std::vector<MergePair> later_merges(const std::vector<MergePair>& before,
                                    std::vector<MergePair> after, const fs::path& file) {
  const bool begins =
      after.size() >= before.size() && std::equal(before.begin(), before.end(), after.begin());
  if (!begins) {
    throw FormatError(file, "its merges do not begin with the base's")
        .expected(concat(before.size(), " merges of the base, then new ones"));
  }
  after.erase(after.begin(), after.begin() + static_cast<std::ptrdiff_t>(before.size()));
  return after;
}

}  // namespace

namespace {

/// The merges behind the base's in a tokenizer.json that differs in nothing but its vocabulary;
/// none in a tokenizer.model that has further pieces and no other change.
std::vector<MergePair> added_merges(const fs::path& base_file, const fs::path& file) {
  if (tokenizer::is_sentencepiece(base_file)) {
    tokenizer::added_pieces(read_file(base_file), read_file(file), file);
    return {};
  }
  const Json before = read_json(base_file), after = read_json(file);
  check_added_tokens(before, after, file);
  return later_merges(read_merges(before, base_file), read_merges(after, file), file);
}

}  // namespace

VocabularyLists added_vocabulary(const fs::path& base, const fs::path& extended, int64_t first_id,
                                 int64_t num_tokens) {
  const fs::path file = tokenizer::tokenizer_file_of(extended);
  VocabularyLists lists;
  lists.merges = added_merges(tokenizer::tokenizer_file_of(base), file);
  const auto tokenizer = tokenizer::Tokenizer::load(file);
  for (int64_t id = first_id; id < first_id + num_tokens; ++id) {
    const std::string token =
        id < tokenizer.size() ? tokenizer.token(static_cast<tokenizer::TokenId>(id)) : "";
    if (token.empty()) {
      throw FormatError(file, concat("vocabulary row ", id, " of the additions has no token"))
          .expected(concat(num_tokens, " new tokens from id ", first_id, " on"));
    }
    lists.tokens.push_back(token);
  }
  return lists;
}

VocabularyLayout lay_out_vocabulary(const std::vector<const Pack*>& packs, int64_t first_id) {
  VocabularyLayout layout;
  std::set<std::string> tokens;
  std::set<MergePair> merges;
  for (const Pack* pack : packs) {
    std::vector<int64_t>& stored = layout.stored.emplace_back();
    std::vector<int64_t>& shadowed = layout.shadowed.emplace_back();
    for (int64_t i = 0; i < pack->num_vocab_rows(); ++i) {
      const std::string& token = pack->tokens[static_cast<size_t>(i)];
      if (!tokens.insert(token).second) {
        shadowed.push_back(i);
        continue;
      }
      stored.push_back(i);
      const auto id =
          static_cast<tokenizer::TokenId>(first_id + static_cast<int64_t>(tokens.size()) - 1);
      layout.additions.tokens.emplace_back(token, id);
    }
    for (const MergePair& merge : pack->merges) {
      if (merges.insert(merge).second) layout.additions.merges.push_back(merge);
    }
  }
  return layout;
}

tokenizer::GrownTokenizer pack_tokenizer(const fs::path& base,
                                         const tokenizer::VocabularyAdditions& additions) {
  const fs::path file = tokenizer::tokenizer_file_of(base);
  const auto old = tokenizer::Tokenizer::load(file);
  for (const auto& [token, id] : additions.tokens) {
    if (!old.find(token)) continue;
    throw FormatError(file, concat("the base knows the token ", in_quotes(token),
                                   " already, which a pack brings"))
        .hint("the pack was made for another base");
  }
  return {file, old, additions};
}

}  // namespace polygraft::expand
