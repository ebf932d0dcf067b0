// tokenizer/added_tokens.cpp: see added_tokens.h.
#include "tokenizer/added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "core/json.h"
#include "tokenizer/newer_characters.h"
#include "tokenizer/utf8.h"
#include "tokenizer/white_space.h"

namespace polygraft::tokenizer {
namespace {

/// ICU 72 knows Unicode 15.
bool is_newer_word_character(char32_t character) {
  for (const NewerCharacters& newer : newer_characters()) {
    if (character < newer.first || character > newer.last) continue;
    return newer.category[0] == 'L' || newer.category[0] == 'M' || newer.category == "Nd";
  }
  return false;
}

/// \w of Rust's regex crate (Unicode Technical Standard 18, annex C).
bool is_word_character(char32_t character) {
  const auto c = static_cast<UChar32>(character);
  constexpr uint32_t kWordMask = U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK;
  return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) != 0 || (U_GET_GC_MASK(c) & kWordMask) != 0 ||
         u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) != 0 || is_newer_word_character(character);
}

bool ends_with_word(std::string_view text) {
  size_t begin = 0;
  return !text.empty() && is_word_character(last_code_point(text, begin));
}

bool starts_with_word(std::string_view text) {
  size_t position = 0;
  return !text.empty() && is_word_character(next_code_point(text, position));
}

bool stands_alone(std::string_view text, Section match) {
  const auto begin = static_cast<size_t>(match.text.data() - text.data());
  return !ends_with_word(text.substr(0, begin)) &&
         !starts_with_word(text.substr(begin + match.text.size()));
}

}  // namespace

AddedToken read_added_token(const Json& json, TokenId id, const fs::path& file) {
  AddedToken token{.content = json_get<std::string>(json, "content", file), .id = id};
  token.single_word = json_get_or<bool>(json, "single_word", false, file);
  token.lstrip = json_get_or<bool>(json, "lstrip", false, file);
  token.rstrip = json_get_or<bool>(json, "rstrip", false, file);
  token.special = json_get_or<bool>(json, "special", false, file);
  token.normalized = json_get_or<bool>(json, "normalized", !token.special, file);
  return token;
}

AddedTokenMatcher::AddedTokenMatcher(std::vector<std::pair<std::string, AddedToken>> patterns)
    : tokens_(std::move(patterns)), nodes_(1) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& pattern = tokens_[i].first;
    if (pattern.empty()) continue;
    int32_t node = 0;
    for (const char raw : pattern) {
      const auto byte = static_cast<unsigned char>(raw);
      auto& children = nodes_[node].children;
      const auto child = std::find_if(children.begin(), children.end(),
                                      [byte](const auto& entry) { return entry.first == byte; });
      if (child != children.end()) {
        node = child->second;
        continue;
      }
      const auto fresh = static_cast<int32_t>(nodes_.size());
      children.emplace_back(byte, fresh);
      nodes_.emplace_back();
      node = fresh;
    }
    if (nodes_[node].token < 0) nodes_[node].token = static_cast<int32_t>(i);
    first_bytes_[static_cast<unsigned char>(pattern.front())] = true;
  }
}

int32_t AddedTokenMatcher::longest_at(std::string_view text, size_t position) const {
  int32_t longest = -1;
  int32_t node = 0;
  for (; position < text.size(); ++position) {
    const auto byte = static_cast<unsigned char>(text[position]);
    const auto& children = nodes_[node].children;
    const auto child = std::find_if(children.begin(), children.end(),
                                    [byte](const auto& entry) { return entry.first == byte; });
    if (child == children.end()) break;
    node = child->second;
    if (nodes_[node].token >= 0) longest = nodes_[node].token;
  }
  return longest;
}

size_t AddedTokenMatcher::next_candidate(std::string_view text, size_t from) const {
  while (from < text.size() && !first_bytes_[static_cast<unsigned char>(text[from])]) ++from;
  return from;
}

void AddedTokenMatcher::split(std::string_view text, std::vector<Section>& sections) const {
  size_t covered = 0;  // everything before is in a section
  for (size_t at = next_candidate(text, 0); at < text.size(); at = next_candidate(text, at)) {
    const int32_t index = longest_at(text, at);
    if (index < 0) {
      ++at;
      continue;
    }
    const auto& [pattern, token] = tokens_[static_cast<size_t>(index)];
    size_t begin = at;
    size_t end = at + pattern.size();
    at = end;  // the search goes on behind the token itself, not behind the space it strips
    if (token.single_word && !stands_alone(text, {text.substr(begin, end - begin)})) continue;
    if (token.lstrip) begin = std::max(without_trailing_space(text.substr(0, begin)), covered);
    if (token.rstrip) end += leading_space(text.substr(end));
    if (covered < begin) sections.push_back({text.substr(covered, begin - covered)});
    if (begin < end) sections.push_back({text.substr(begin, end - begin), token.id});
    covered = end;
  }
  if (covered < text.size()) sections.push_back({text.substr(covered)});
}

}  // namespace polygraft::tokenizer
