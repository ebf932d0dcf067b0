// tokenizer/json_splice.cpp: see json_splice.h.
#include "tokenizer/json_splice.h"

#include <optional>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/json_cursor.h"

namespace polygraft::tokenizer {
namespace {

constexpr std::string_view kWhiteSpace = " \t\r\n";

/// Moves to the opening bracket of the container at `path`.
void find_container(const std::vector<std::string>& path, const std::filesystem::path& where,
                    JsonCursor& cursor) {
  const auto missing = [&] {
    throw FormatError(where, concat("'", join(path, "."), "' is missing or no container"));
  };
  for (const std::string& key : path) {
    if (cursor.peek() != '{') missing();
    std::optional<size_t> found;
    cursor.read_object([&](std::string_view name) {
      cursor.peek();
      if (name == key) found = cursor.position();  // the last one, as parsers take it
      cursor.skip_value();
    });
    if (!found) missing();
    cursor.move_to(*found);
  }
  if (cursor.peek() != '{' && cursor.peek() != '[') missing();
}

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
  JsonCursor cursor(text, where);
  find_container(path, where, cursor);
  if (elements.empty()) return std::string(text);
  const size_t open = cursor.position();
  cursor.move_to(open + 1);
  cursor.peek();
  const size_t first = cursor.position();
  cursor.move_to(open);
  cursor.skip_value();
  const size_t close = cursor.position() - 1;
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
