// tokenizer/post_processor.cpp: see post_processor.h.
#include "tokenizer/post_processor.h"

#include <optional>
#include <string>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

/// The ids of one of the template's special tokens. Each must be the id of the token beside it.
std::vector<TokenId> ids_of(const Json& entry, const std::string& name,
                            const Vocabulary& vocabulary, const std::filesystem::path& where) {
  const auto ids = json_get<std::vector<int64_t>>(entry, "ids", where);
  const auto tokens = json_get<std::vector<std::string>>(entry, "tokens", where);
  if (ids.size() != tokens.size()) {
    throw FormatError(where, concat("template token '", name, "' has ", ids.size(), " ids for ",
                                    tokens.size(), " tokens"));
  }
  std::vector<TokenId> result;
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto known = vocabulary.find(tokens[i]);
    if (!known || *known != ids[i]) {
      throw FormatError(
          where, concat("template token '", name, "' means '", tokens[i], "' by id ", ids[i]))
          .found(known ? concat("the vocabulary gives it id ", *known)
                       : "no such token in the vocabulary");
    }
    result.push_back(*known);
  }
  return result;
}

void add_template(const Json& json, const Vocabulary& vocabulary,
                  const std::filesystem::path& where, std::optional<SpecialTemplate>& around) {
  // The reference would take the first one's special token for the first text of a pair.
  if (around) throw NotBuiltError("a template behind another").found(where.string());
  const auto specials = json_get<Json>(json, "special_tokens", where);
  around.emplace();
  bool behind_text = false;
  for (const Json& part : json_get<Json>(json, "single", where)) {
    if (part.is_object() && part.contains("Sequence")) {
      if (behind_text)
        throw NotBuiltError("a template that holds its text twice").found(where.string());
      behind_text = true;
      continue;
    }
    const auto name =
        json_get<std::string>(json_get<Json>(part, "SpecialToken", where), "id", where);
    const auto ids = ids_of(json_get<Json>(specials, name, where), name, vocabulary, where);
    if (behind_text) {
      around->after.insert(around->after.end(), ids.begin(), ids.end());
    } else {
      around->before.insert(around->before.end(), ids.begin(), ids.end());
    }
  }
}

void add(const Json& json, const Vocabulary& vocabulary, const std::filesystem::path& where,
         std::optional<SpecialTemplate>& around) {
  if (json.is_null()) return;
  const auto type = json_get<std::string>(json, "type", where);
  if (type == "Sequence") {
    for (const Json& part : json_get<Json>(json, "processors", where)) {
      add(part, vocabulary, where, around);
    }
  } else if (type == "TemplateProcessing") {
    add_template(json, vocabulary, where, around);
  } else if (type != "ByteLevel") {  // which moves offsets alone
    throw NotBuiltError(concat("post-processor '", type, "'")).found(where.string());
  }
}

}  // namespace

SpecialTemplate read_post_processor(const Json& json, const Vocabulary& vocabulary,
                                    const std::filesystem::path& where) {
  std::optional<SpecialTemplate> around;
  add(json, vocabulary, where, around);
  return around.value_or(SpecialTemplate{});
}

}  // namespace polygraft::tokenizer
