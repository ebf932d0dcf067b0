// tokenizer/tokenizer_json.cpp: see tokenizer_json.h.
// Reference: Hugging Face tokenizers, tokenizer/serialization.rs and models/bpe/serialization.rs.
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"

namespace polygraft::tokenizer {
namespace {

/// Bytes that no UTF-8 text holds need no token.
bool occurs_in_utf8(unsigned byte) { return byte != 0xC0 && byte != 0xC1 && byte <= 0xF4; }

void refuse_unsupported_model(const Json& model, const fs::path& file) {
  const auto type = json_get_or<std::string>(model, "type", "BPE", file);
  if (type != "BPE")
    throw NotBuiltError(concat("tokenizer model '", type, "'")).found(file.string());
  if (json_get_or<double>(model, "dropout", 0.0, file) != 0.0) {
    throw NotBuiltError("BPE with dropout").found(file.string());
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!json_get_or<std::string>(model, key, "", file).empty()) {
      throw NotBuiltError(concat("BPE with ", key)).found(file.string());
    }
  }
}

void refuse_unsupported_decoder(const Json& decoder, const fs::path& file) {
  if (decoder.is_null()) throw NotBuiltError("a tokenizer without decoder").found(file.string());
  const auto type = json_get<std::string>(decoder, "type", file);
  if (type == "Sequence") {
    const auto parts = json_get<Json>(decoder, "decoders", file);
    if (parts.size() != 1) throw NotBuiltError("a decoder of several steps").found(file.string());
    return refuse_unsupported_decoder(parts.front(), file);
  }
  if (type != "ByteLevel") throw NotBuiltError(concat("decoder '", type, "'")).found(file.string());
}

void read_vocabulary(const Json& model, const fs::path& file, Vocabulary& vocabulary) {
  const auto entries = model.find("vocab");
  if (entries == model.end() || !entries->is_object()) {
    throw FormatError(file, "model.vocab is missing or no object");
  }
  for (const auto& [token, id] : entries->items()) {
    if (!id.is_number_integer()) {
      throw FormatError(file, concat("token '", token, "' has no integer id")).found(id.dump());
    }
    vocabulary.insert(token, id.get<int64_t>(), file);
  }
}

/// "a b" or ["a", "b"].
std::pair<std::string, std::string> read_merge(const Json& merge, size_t number,
                                               const fs::path& file) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto& text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  throw FormatError(file, concat("merge ", number, " is not a pair of tokens"))
      .expected(R"("a b" or ["a", "b"])")
      .found(merge.dump().substr(0, 80));
}

MergeTable read_merges(const Json& model, const fs::path& file, const Vocabulary& vocabulary) {
  const auto merges = model.find("merges");
  if (merges == model.end() || !merges->is_array()) {
    throw FormatError(file, "model.merges is missing or no array");
  }
  MergeTable table;
  for (size_t number = 0; number < merges->size(); ++number) {
    const auto [left, right] = read_merge((*merges)[number], number, file);
    const auto id_of = [&, number = number](const std::string& token) {
      const auto id = vocabulary.find(token);
      if (!id) {
        throw FormatError(file, concat("merge ", number, " needs token '", token, "'"))
            .expected("both halves and their concatenation in model.vocab");
      }
      return *id;
    };
    const TokenId left_id = id_of(left);
    const TokenId right_id = id_of(right);
    table.insert(left_id, right_id, {static_cast<uint32_t>(number), id_of(left + right)});
  }
  return table;
}

BpeParts read_model(const Json& model, const fs::path& file, Vocabulary& vocabulary) {
  refuse_unsupported_model(model, file);
  read_vocabulary(model, file, vocabulary);
  BpeParts parts;
  parts.merges = read_merges(model, file, vocabulary);
  bool complete = true;
  for (unsigned byte = 0; byte < 256; ++byte) {
    parts.byte_ids[byte] =
        vocabulary.find(alphabet_character(static_cast<uint8_t>(byte))).value_or(-1);
    complete &= parts.byte_ids[byte] >= 0 || !occurs_in_utf8(byte);
  }
  if (!complete) log_warn(concat(file.string(), ": some bytes have no token and will be dropped"));
  if (json_get_or<bool>(model, "byte_fallback", false, file) && !complete) {
    throw NotBuiltError("BPE with byte_fallback").found(file.string());
  }
  const auto unknown = json_get_or<std::string>(model, "unk_token", "", file);
  if (!unknown.empty()) parts.unknown = vocabulary.find(unknown);
  if (!unknown.empty() && !parts.unknown && !complete) {
    throw FormatError(file, concat("unk_token '", unknown, "' is not in model.vocab"));
  }
  parts.fuse_unknown = json_get_or<bool>(model, "fuse_unk", false, file);
  if (json_get_or<bool>(model, "ignore_merges", false, file)) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      if (!vocabulary.has(id)) continue;
      if (auto bytes = from_alphabet(vocabulary.entry(id).token)) parts.whole_pieces[*bytes] = id;
    }
  }
  return parts;
}

AddedToken read_added_token(const Json& json, const fs::path& file) {
  AddedToken token;
  token.content = json_get<std::string>(json, "content", file);
  const auto id = json_get<int64_t>(json, "id", file);
  if (id < 0 || id > INT32_MAX) throw FormatError(file, concat("added token with id ", id));
  token.id = static_cast<TokenId>(id);
  token.single_word = json_get_or<bool>(json, "single_word", false, file);
  token.lstrip = json_get_or<bool>(json, "lstrip", false, file);
  token.rstrip = json_get_or<bool>(json, "rstrip", false, file);
  token.special = json_get_or<bool>(json, "special", false, file);
  token.normalized = json_get_or<bool>(json, "normalized", !token.special, file);
  return token;
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
  for (const Json& entry : json_get_or<Json>(root, "added_tokens", Json::array(), file)) {
    AddedToken token = read_added_token(entry, file);
    for (const AddedToken& other : tokens) {
      if (other.content == token.content) {
        throw FormatError(file, concat("added token '", token.content, "' stands there twice"));
      }
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

/// "bos_token": "<s>" or {"content": "<s>", ...}, from the first of the two files that has it.
std::optional<TokenId> special_token(const fs::path& folder, const char* key,
                                     const Vocabulary& vocabulary) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    const Json config = read_json(file);
    const Json value = json_get_or<Json>(config, key, Json(), file);
    if (value.is_null()) continue;
    const auto token = value.is_string() ? value.get<std::string>()
                                         : json_get<std::string>(value, "content", file);
    if (const auto id = vocabulary.find(token)) return id;
    throw FormatError(file, concat(key, " '", token, "' is no token of the tokenizer"));
  }
  return std::nullopt;
}

/// transformers adds tokens of its own configuration to those of tokenizer.json; with one that is
/// not there, it would encode otherwise than this file says.
void refuse_other_added_tokens(const fs::path& folder, const Vocabulary& vocabulary) {
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return;
  const Json tokens =
      json_get_or<Json>(read_json(file), "added_tokens_decoder", Json::object(), file);
  for (const auto& [id, token] : tokens.items()) {
    const auto content = json_get<std::string>(token, "content", file);
    const auto known = vocabulary.find(content);
    if (known && std::to_string(*known) == id) continue;
    throw FormatError(file, concat("added token '", content, "' with id ", id))
        .expected("the same token and id in tokenizer.json")
        .found(known ? concat("id ", *known) : "no such token")
        .hint("load the folder with transformers and save the tokenizer again");
  }
}

}  // namespace

fs::path tokenizer_json_of(const fs::path& folder_or_file) {
  if (!fs::is_directory(folder_or_file)) return folder_or_file;
  const fs::path file = folder_or_file / "tokenizer.json";
  if (fs::exists(file)) return file;
  if (fs::exists(folder_or_file / "tokenizer.model")) {
    throw NotBuiltError("SentencePiece tokenizer (tokenizer.model)").found(folder_or_file.string());
  }
  throw IoError(file, "no such file").expected("a Hugging Face model folder with tokenizer.json");
}

std::shared_ptr<const Tokenizer::Impl> read_tokenizer(const fs::path& folder_or_file) {
  const fs::path file = tokenizer_json_of(folder_or_file);
  return parse_tokenizer(read_file(file), file, file.parent_path());
}

std::shared_ptr<const Tokenizer::Impl> parse_tokenizer(const std::string& text,
                                                       const fs::path& file,
                                                       const fs::path& config_folder) {
  const Json root = parse_json(text, file);
  if (!root.is_object()) throw FormatError(file, "not a JSON object");
  const Json model = json_get<Json>(root, "model", file);
  refuse_unsupported_decoder(json_get_or<Json>(root, "decoder", Json(), file), file);
  Normalizer normalizer =
      Normalizer::from_json(json_get_or<Json>(root, "normalizer", Json(), file), file);
  PreTokenizer pre_tokenizer =
      PreTokenizer::from_json(json_get_or<Json>(root, "pre_tokenizer", Json(), file), file);
  Vocabulary vocabulary;
  BpeParts parts = read_model(model, file, vocabulary);
  const std::vector<AddedToken> added = read_added_tokens(root, file);
  insert_added_tokens(added, file, vocabulary);
  mark_added_tokens(added, normalizer, vocabulary);
  refuse_other_added_tokens(config_folder, vocabulary);
  const auto bos = special_token(config_folder, "bos_token", vocabulary);
  const auto eos = special_token(config_folder, "eos_token", vocabulary);
  auto result = std::make_shared<BpeTokenizer>(std::move(parts));
  result->file = file;
  result->hash = sha256(text);
  result->vocabulary = std::move(vocabulary);
  result->bos = bos;
  result->eos = eos;
  result->plain_tokens = AddedTokenMatcher(patterns_of(added, false, normalizer));
  result->normalized_tokens = AddedTokenMatcher(patterns_of(added, true, normalizer));
  result->normalizer = std::move(normalizer);
  result->pre_tokenizer = std::move(pre_tokenizer);
  return result;
}

}  // namespace polygraft::tokenizer
