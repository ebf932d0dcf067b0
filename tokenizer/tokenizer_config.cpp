// tokenizer/tokenizer_config.cpp: see tokenizer_config.h.
#include "tokenizer/tokenizer_config.h"

#include <algorithm>
#include <unordered_map>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/warn_once.h"

namespace polygraft::tokenizer {

std::string token_text(const Json& token, const fs::path& file) {
  return token.is_string() ? token.get<std::string>()
                           : json_get<std::string>(token, "content", file);
}

std::optional<TokenId> special_token(const fs::path& folder, const char* key,
                                     const Vocabulary& vocabulary) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    const Json config = read_json(file);
    const Json value = json_get_or<Json>(config, key, Json(), file);
    if (value.is_null()) continue;
    const std::string token = token_text(value, file);
    if (const auto id = vocabulary.find(token)) return id;
    throw FormatError(file, concat(key, " '", token, "' is no token of the tokenizer"));
  }
  return std::nullopt;
}

bool config_flag(const fs::path& folder, const char* key) {
  const fs::path file = folder / "tokenizer_config.json";
  if (!fs::exists(file)) return false;
  const Json config = read_json(file);
  return !json_get_or<Json>(config, key, Json(), file).is_null() &&
         json_get<bool>(config, key, file);
}

namespace {

/// Compares what a file says of added tokens with the tokenizer's.
class AddedTokenCheck {
 public:
  AddedTokenCheck(fs::path file, const KnownTokens& known) : file_(std::move(file)), known_(known) {
    if (known.added == nullptr) return;
    for (const AddedToken& token : *known.added) added_.emplace(token.content, &token);
  }

  /// @param token the text, or an object with its `content`.
  void require(const Json& token) const { find(token_text(token, file_)); }

  /// @param entry with all flags, or those that are not there by default.
  void require_entry(const std::string& id, const Json& entry) const {
    const std::string content = token_text(entry, file_);
    const AddedToken* own = find(content, id);
    if (own == nullptr) return;
    const AddedToken stated = read_added_token(entry, own->id, file_);
    const std::string expected = flags_text(*own), found = flags_text(stated);
    if (expected == found) return;
    throw FormatError(file_, concat("added token '", content, "' has other flags"))
        .expected(concat(expected, ", as in the tokenizer's own file"))
        .found(found)
        .hint(kSaveAgain);
  }

  /// Tokens in an array, or named in an object, or none.
  void require_all(const Json& tokens) const {
    if (!tokens.is_structured()) return;
    for (const Json& token : tokens) require(token);
  }

  /// {"<x>": 256}
  void require_id(const std::string& content, const Json& id) const { find(content, id.dump()); }

 private:
  static constexpr const char* kSaveAgain =
      "load the folder with transformers and save the tokenizer again";

  std::string flags_text(const AddedToken& token) const {
    const auto text = [](bool flag) { return flag ? "true" : "false"; };
    const std::string flags = concat("single_word ", text(token.single_word), ", lstrip ",
                                     text(token.lstrip), ", rstrip ", text(token.rstrip));
    return known_.normalizes ? concat(flags, ", normalized ", text(token.normalized)) : flags;
  }

  /// @param id empty: any. @return the added token; nullptr: none, but that is as good.
  const AddedToken* find(const std::string& content, const std::string& id = "") const {
    if (content.empty()) return nullptr;
    const auto known = known_.vocabulary.find(content);
    const auto added = added_.find(content);
    const bool is_found = known && (known_.added == nullptr || added != added_.end());
    if (is_found && (id.empty() || std::to_string(*known) == id)) {
      return added == added_.end() ? nullptr : added->second;
    }
    throw FormatError(file_,
                      concat("added token '", content, "'", id.empty() ? "" : " with id ", id))
        .expected("the same token and id among the added tokens of the tokenizer's own file")
        .found(is_found ? concat("id ", *known)
                        : std::string(known ? "a plain token of its model" : "no such token"))
        .hint(kSaveAgain);
  }

  fs::path file_;
  const KnownTokens& known_;
  std::unordered_map<std::string_view, const AddedToken*> added_;
};

/// PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES, and its lists under their names of versions 4
/// and 5.
void check_special_tokens(const Json& config, const AddedTokenCheck& check) {
  for (const char* key : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                          "cls_token", "mask_token"}) {
    if (config.contains(key) && !config[key].is_null()) check.require(config[key]);
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    if (config.contains(key)) check.require_all(config[key]);
  }
}

/// Files of earlier versions, which transformers reads where tokenizer_config.json lists no added
/// tokens.
void check_legacy_files(const fs::path& folder, const KnownTokens& known) {
  if (const fs::path file = folder / "special_tokens_map.json"; fs::exists(file)) {
    check_special_tokens(read_json(file), AddedTokenCheck(file, known));
  }
  if (const fs::path file = folder / "added_tokens.json"; fs::exists(file)) {
    const AddedTokenCheck check(file, known);
    const Json tokens = read_json(file);
    for (const auto& [content, id] : tokens.items()) check.require_id(content, id);
  }
}

}  // namespace

void refuse_other_added_tokens(const fs::path& folder, const KnownTokens& known) {
  bool has_decoder = false;
  if (const fs::path file = folder / "tokenizer_config.json"; fs::exists(file)) {
    const AddedTokenCheck check(file, known);
    const Json config = read_json(file);
    check_special_tokens(config, check);
    has_decoder = config.contains("added_tokens_decoder");
    const Json tokens = json_get_or<Json>(config, "added_tokens_decoder", Json::object(), file);
    for (const auto& [id, token] : tokens.items()) check.require_entry(id, token);
  }
  if (!has_decoder) check_legacy_files(folder, known);
}

namespace {

/// NFC, or a sequence of nothing else.
bool is_nfc(const Json& normalizer) {
  if (!normalizer.is_object()) return false;
  if (normalizer.value("type", Json()) != "Sequence")
    return normalizer.value("type", Json()) == "NFC";
  const Json steps = normalizer.value("normalizers", Json());
  return !steps.empty() && std::all_of(steps.begin(), steps.end(), is_nfc);
}

}  // namespace

void warn_of_other_normalizer(const fs::path& folder, const Json& normalizer) {
  const fs::path file = folder / "tokenizer_config.json";
  if (is_nfc(normalizer) || !fs::exists(file)) return;
  auto name = json_get_or<std::string>(read_json(file), "tokenizer_class", "", file);
  if (name.ends_with("Fast")) name.resize(name.size() - std::string_view("Fast").size());
  if (name != "Qwen2Tokenizer" && name != "GPTNeoXTokenizer") return;
  warn_once(
      name,
      concat(file.string(), ": transformers 5's ", name,
             " makes NFC of a text first, whatever tokenizer.json says: other text gets other "
             "ids there; PreTrainedTokenizerFast as tokenizer_class does as the file says"));
}

}  // namespace polygraft::tokenizer
