// tokenizer/replacement.cpp: see replacement.h.
#include "tokenizer/replacement.h"

#include "core/error.h"
#include "core/json.h"

namespace polygraft::tokenizer {
namespace {

/// The only key of a pattern: "String" or "Regex".
std::string kind_of(const Json& pattern, const std::filesystem::path& where) {
  if (pattern.is_object() && pattern.size() == 1) {
    const std::string& kind = pattern.begin().key();
    if (kind == "String" || kind == "Regex") return kind;
  }
  throw FormatError(where, "a pattern is neither {\"String\": ...} nor {\"Regex\": ...}")
      .found(pattern.dump().substr(0, 80));
}

}  // namespace

Pattern read_pattern(const Json& json, const std::filesystem::path& where) {
  const std::string kind = kind_of(json, where);
  const auto text = json_get<std::string>(json, kind, where);
  return kind == "String" ? Pattern::literal(text, where) : Pattern(text, where);
}

Replacement Replacement::from_json(const Json& json, const std::filesystem::path& where) {
  Replacement result;
  const auto pattern = json_get<Json>(json, "pattern", where);
  if (kind_of(pattern, where) == "Regex") {
    result.regex_ = read_pattern(pattern, where);
  } else {
    result.literal_ = json_get<std::string>(pattern, "String", where);
    if (result.literal_.empty()) throw FormatError(where, "Replace of the empty string");
  }
  result.content_ = json_get<std::string>(json, "content", where);
  return result;
}

bool Replacement::find(std::string_view text, size_t from, Span& match,
                       SearchBudget& budget) const {
  if (regex_) return regex_->find(text, from, match, budget);
  const size_t begin = text.find(literal_, from);
  if (begin == std::string_view::npos) return false;
  match = {begin, begin + literal_.size()};
  return true;
}

std::optional<std::string> Replacement::apply(std::string_view text) const {
  Span match;
  SearchBudget budget(text);
  if (!find(text, 0, match, budget)) return std::nullopt;
  std::string changed;
  changed.reserve(text.size() + text.size() / 4);
  size_t from = 0;
  do {
    changed.append(text.substr(from, match.begin - from)).append(content_);
    from = match.end;
  } while (from < text.size() && find(text, from, match, budget));
  changed.append(text.substr(from));
  return changed;
}

}  // namespace polygraft::tokenizer
