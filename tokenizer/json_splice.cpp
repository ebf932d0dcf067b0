// tokenizer/json_splice.cpp: see json_splice.h.
// A scanner for text that a parser has accepted already: it needs to know only strings and
// brackets.
#include "tokenizer/json_splice.h"

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";

class Scanner {
 public:
  Scanner(std::string_view text, const std::filesystem::path& where) : text_(text), where_(where) {}

  /// Position of the opening bracket of the container at `path`.
  size_t find(const std::vector<std::string>& path) const {
    size_t at = skip_space(0);
    for (const std::string& key : path) at = member(at, key, path);
    if (at >= text_.size() || (text_[at] != '{' && text_[at] != '[')) missing(path);
    return at;
  }

  /// Position behind the value that begins at `at`.
  size_t skip_value(size_t at) const {
    if (text_[at] == '"') return skip_string(at);
    if (text_[at] != '{' && text_[at] != '[') return text_.find_first_of(",]} \t\r\n", at);
    size_t depth = 0;
    while (true) {
      at = text_.find_first_of("\"{}[]", at);
      if (at == std::string_view::npos) throw FormatError(where_, "brackets do not match");
      if (text_[at] == '"') {
        at = skip_string(at);
        continue;
      }
      depth += text_[at] == '{' || text_[at] == '[' ? 1 : -1;
      ++at;
      if (depth == 0) return at;
    }
  }

  size_t skip_space(size_t at) const {
    at = text_.find_first_not_of(kWhiteSpace, at);
    return at == std::string_view::npos ? text_.size() : at;
  }

 private:
  [[noreturn]] void missing(const std::vector<std::string>& path) const {
    throw FormatError(where_, concat("'", join(path, "."), "' is missing or no container"));
  }

  size_t skip_string(size_t at) const {
    for (++at; at < text_.size() && text_[at] != '"'; ++at) at += text_[at] == '\\' ? 1 : 0;
    return at + 1;
  }

  /// Position of the value of `key` in the object at `at`; of the last one, as parsers take it.
  size_t member(size_t at, const std::string& key, const std::vector<std::string>& path) const {
    if (at >= text_.size() || text_[at] != '{') missing(path);
    size_t found = std::string_view::npos;
    for (at = skip_space(at + 1); text_[at] != '}'; at = skip_space(at)) {
      const size_t key_end = skip_string(at);
      const size_t value = skip_space(skip_space(key_end) + 1);  // behind the colon
      const Json name = parse_json(text_.substr(at, key_end - at), where_);
      if (name.get_ref<const std::string&>() == key) found = value;
      at = skip_space(skip_value(value));
      if (text_[at] == ',') at = skip_space(at + 1);
    }
    if (found == std::string_view::npos) missing(path);
    return found;
  }

  std::string_view text_;
  const std::filesystem::path& where_;
};

/// The spaces that begin the line `at` stands on, or nothing in a text of one line.
std::string line_indentation(std::string_view text, size_t at) {
  const size_t newline = text.rfind('\n', at);
  const size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  return std::string(text.substr(begin, text.find_first_not_of(" \t", begin) - begin));
}

/// What stands before each element, and before the closing bracket of a container that was empty.
struct Spacing {
  std::string element, close;
};

Spacing spacing_of(std::string_view text, size_t open, size_t first, bool empty) {
  if (!empty) return {std::string(text.substr(open + 1, first - open - 1)), ""};
  const bool one_line = text.substr(0, open).find('\n') == std::string_view::npos;
  if (one_line) return {};
  const std::string indentation = line_indentation(text, open);
  return {"\n  " + indentation, "\n" + indentation};
}

}  // namespace

std::string append_json_elements(std::string_view text, const std::vector<std::string>& path,
                                 const std::vector<std::string>& elements,
                                 const std::filesystem::path& where) {
  const Scanner scanner(text, where);
  const size_t open = scanner.find(path);
  if (elements.empty()) return std::string(text);
  const size_t first = scanner.skip_space(open + 1);
  const size_t close = scanner.skip_value(open) - 1;
  const bool empty = first == close;
  const Spacing spacing = spacing_of(text, open, first, empty);
  const size_t keep_until = empty ? open + 1 : text.find_last_not_of(kWhiteSpace, close - 1) + 1;
  std::string result(text.substr(0, keep_until));
  result.reserve(text.size() + 48 * elements.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    if (!empty || i > 0) result.append(",");
    result.append(spacing.element).append(elements[i]);
  }
  result.append(spacing.close);
  result.append(text.substr(empty ? close : keep_until));
  return result;
}

}  // namespace polygraft::tokenizer
