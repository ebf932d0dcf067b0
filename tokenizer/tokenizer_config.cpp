// tokenizer/tokenizer_config.cpp: see tokenizer_config.h.
#include "tokenizer/tokenizer_config.h"

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::tokenizer {

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

namespace {

/// Compares what a file says of added tokens with the tokenizer's.
class AddedTokenCheck {
 public:
  AddedTokenCheck(fs::path file, const Vocabulary& vocabulary)
      : file_(std::move(file)), vocabulary_(vocabulary) {}

  /// @param token the text, or an object with its `content`. @param id empty: any.
  void require(const Json& token, const std::string& id = "") const {
    const auto content = token.is_string() ? token.get<std::string>()
                                           : json_get<std::string>(token, "content", file_);
    const auto known = vocabulary_.find(content);
    if (content.empty() || (known && (id.empty() || std::to_string(*known) == id))) return;
    throw FormatError(file_,
                      concat("added token '", content, "'", id.empty() ? "" : " with id ", id))
        .expected("the same token and id in the tokenizer's own file")
        .found(known ? concat("id ", *known) : "no such token")
        .hint("load the folder with transformers and save the tokenizer again");
  }

  /// Tokens in an array, or named in an object, or none.
  void require_all(const Json& tokens) const {
    if (!tokens.is_structured()) return;
    for (const Json& token : tokens) require(token);
  }

 private:
  fs::path file_;
  const Vocabulary& vocabulary_;
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

}  // namespace

void refuse_other_added_tokens(const fs::path& folder, const Vocabulary& vocabulary) {
  bool has_decoder = false;
  if (const fs::path file = folder / "tokenizer_config.json"; fs::exists(file)) {
    const AddedTokenCheck check(file, vocabulary);
    const Json config = read_json(file);
    check_special_tokens(config, check);
    has_decoder = config.contains("added_tokens_decoder");
    const Json tokens = json_get_or<Json>(config, "added_tokens_decoder", Json::object(), file);
    for (const auto& [id, token] : tokens.items()) check.require(token, id);
  }
  if (const fs::path file = folder / "added_tokens.json"; !has_decoder && fs::exists(file)) {
    const AddedTokenCheck check(file, vocabulary);
    const Json tokens = read_json(file);
    for (const auto& [content, id] : tokens.items()) check.require(content, id.dump());
  }
}

}  // namespace polygraft::tokenizer
