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

}  // namespace polygraft::tokenizer
