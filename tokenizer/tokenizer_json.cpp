// tokenizer/tokenizer_json.cpp: see tokenizer_json.h.
// Reference: Hugging Face tokenizers, tokenizer/serialization.rs.
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/model_json.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/tokenizer_config.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

/// Whether no merge joins a visible space to what stands before it, unless that is one, too. Then
/// merging words one by one, each with the spaces before it, is merging the whole text.
bool may_cut_before_space(const BpeParts& parts, const Vocabulary& vocabulary) {
  const bool joins_words = [&] {
    bool found = false;
    parts.merges.for_each([&](TokenId, TokenId, Merge merge) {
      const std::string& token = vocabulary.entry(merge.result).token;
      for (size_t at = token.find(kVisibleSpace, 1); at != std::string::npos;
           at = token.find(kVisibleSpace, at + 1)) {
        found |= !std::string_view(token).substr(0, at).ends_with(kVisibleSpace);
      }
    });
    return found;
  }();
  size_t begin = 0;
  return !parts.byte_level && parts.whole_pieces.empty() && !joins_words &&
         parts.characters.find(next_code_point(kVisibleSpace, begin)) >= 0;
}

TokenId read_added_id(const Json& json, const fs::path& file) {
  const auto id = json_get<int64_t>(json, "id", file);
  if (id < 0 || id > INT32_MAX) throw FormatError(file, concat("added token with id ", id));
  return static_cast<TokenId>(id);
}

/// The reference numbers added tokens that the model lacks from the model's size on, whatever the
/// file says; a file that says otherwise would give other ids there than here.
void insert_added_tokens(const std::vector<AddedToken>& tokens, const fs::path& file,
                         Vocabulary& vocabulary) {
  int64_t next = vocabulary.num_tokens();
  for (const AddedToken& token : tokens) {
    const auto known = vocabulary.find(token.content);
    const int64_t id = known ? *known : next;
    if (id != token.id) {
      throw FormatError(file, concat("added token '", token.content, "'"))
          .expected(concat("id ", id,
                           known ? ", which model.vocab gives it"
                                 : ", which Hugging Face tokenizers will give it"))
          .found(concat("id ", token.id))
          .hint("put the added tokens into model.vocab with their ids");
    }
    next = std::max(next, id + 1);
    vocabulary.insert(token.content, id, file);
  }
}

void mark_added_tokens(const std::vector<AddedToken>& tokens, const Normalizer& normalizer,
                       Vocabulary& vocabulary) {
  std::set<std::string_view> special;
  for (const AddedToken& token : tokens) {
    if (token.special) special.insert(token.content);
  }
  std::string buffer;
  for (const AddedToken& token : tokens) {
    const std::string_view decoded =
        token.normalized ? normalizer.normalize(token.content, buffer) : token.content;
    vocabulary.mark_added(token.id, token.special, decoded, special.count(decoded) != 0);
  }
}

std::vector<AddedToken> read_added_tokens(const Json& root, const fs::path& file) {
  std::vector<AddedToken> tokens;
  std::unordered_set<std::string> contents;
  for (const Json& entry : json_get_or<Json>(root, "added_tokens", Json::array(), file)) {
    AddedToken token = read_added_token(entry, read_added_id(entry, file), file);
    if (!contents.insert(token.content).second) {
      throw FormatError(file, concat("added token '", token.content, "' stands there twice"));
    }
    if (!token.content.empty()) tokens.push_back(std::move(token));
  }
  return tokens;
}

/// Special tokens come first: where two normalise to the same text, the reference takes the first.
std::vector<std::pair<std::string, AddedToken>> patterns_of(std::vector<AddedToken> tokens,
                                                            bool normalized,
                                                            const Normalizer& normalizer) {
  std::stable_partition(tokens.begin(), tokens.end(), [](const auto& t) { return t.special; });
  std::vector<std::pair<std::string, AddedToken>> patterns;
  std::string buffer;
  for (AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    const std::string_view text =
        normalized ? normalizer.normalize(token.content, buffer) : std::string_view(token.content);
    patterns.emplace_back(std::string(text), token);
  }
  return patterns;
}

}  // namespace

std::shared_ptr<const Tokenizer::Impl> parse_tokenizer(const std::string& text,
                                                       const fs::path& file,
                                                       const fs::path& config_folder) {
  const SplitJson json = split_tokenizer_json(text, file);
  const Json& root = json.rest;
  if (!root.contains("model") || !root["model"].is_object()) {
    throw FormatError(file, "'model' is missing or no object");
  }
  const auto part = [&](const char* key) { return json_get_or<Json>(root, key, Json(), file); };
  Decoder decoder = Decoder::from_json(part("decoder"), file);
  Normalizer normalizer = Normalizer::from_json(part("normalizer"), file);
  PreTokenizer pre_tokenizer = PreTokenizer::from_json(part("pre_tokenizer"), file);
  if (pre_tokenizer.marks_beginning() && normalizer.may_remove_beginning()) {
    // The reference marks the first character of the original text, if that is still there.
    throw NotBuiltError(
        "Metaspace with prepend_scheme 'first' after a normaliser that removes text")
        .found(file.string());
  }
  Vocabulary vocabulary;
  BpeParts parts = read_bpe_model(json, text, file, pre_tokenizer.byte_level(), vocabulary);
  if (may_cut_before_space(parts, vocabulary)) pre_tokenizer.cut_before(std::string(kVisibleSpace));
  const std::vector<AddedToken> added = read_added_tokens(root, file);
  insert_added_tokens(added, file, vocabulary);
  mark_added_tokens(added, normalizer, vocabulary);
  vocabulary.set_bytes([&](const std::string& token) { return decoder.bytes_of(token); });
  refuse_other_added_tokens(config_folder, {vocabulary, &added, !part("normalizer").is_null()});
  warn_of_other_normalizer(config_folder, part("normalizer"));
  auto result = std::make_shared<BpeTokenizer>(std::move(parts));
  result->file = file;
  result->hash = sha256(text);
  result->vocabulary = std::move(vocabulary);
  result->bos = special_token(config_folder, "bos_token", result->vocabulary);
  result->eos = special_token(config_folder, "eos_token", result->vocabulary);
  result->special_template = read_post_processor(part("post_processor"), result->vocabulary, file);
  result->plain_tokens = AddedTokenMatcher(patterns_of(added, false, normalizer));
  result->normalized_tokens = AddedTokenMatcher(patterns_of(added, true, normalizer));
  result->normalizer = std::move(normalizer);
  result->pre_tokenizer = std::move(pre_tokenizer);
  result->decoder = std::move(decoder);
  return result;
}

}  // namespace polygraft::tokenizer
