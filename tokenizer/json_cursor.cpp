// tokenizer/json_cursor.cpp: see json_cursor.h.
#include "tokenizer/json_cursor.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

constexpr size_t kMostDigits = 18;  // what int64_t surely holds

bool is_white_space(char byte) {
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

}  // namespace

char JsonCursor::peek() {
  while (at_ < text_.size() && is_white_space(text_[at_])) ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonCursor::fail(const std::string& expected) {
  const std::string_view before = text_.substr(0, at_);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  throw FormatError(where_, concat("not valid JSON at byte ", at_, " (line ", line, ")"))
      .expected(expected)
      .found(at_ < text_.size() ? concat("'", text_.substr(at_, 1), "'") : "the end of the text");
}

void JsonCursor::expect(char sign) {
  if (peek() != sign) fail(concat("'", sign, "'"));
  ++at_;
}

std::string_view JsonCursor::read_string(std::string& buffer) {
  expect('"');
  const size_t begin = at_;
  bool escaped = false;
  for (; at_ < text_.size() && text_[at_] != '"';) {
    if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("no control character in a string");
    if (text_[at_] != '\\') {
      if (escaped) buffer.push_back(text_[at_]);
      ++at_;
      continue;
    }
    if (!escaped) buffer.assign(text_.substr(begin, at_ - begin));
    escaped = true;
    read_escape(buffer);
  }
  if (at_ == text_.size()) fail("'\"'");
  ++at_;
  return escaped ? std::string_view(buffer) : text_.substr(begin, at_ - 1 - begin);
}

char32_t JsonCursor::read_hex() {
  char32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char byte = at_ < text_.size() ? text_[at_] : '\0';
    const char lower = static_cast<char>(byte | 0x20);
    if (!is_digit(byte) && (lower < 'a' || lower > 'f')) fail("four hexadecimal digits");
    value = 16 * value + static_cast<char32_t>(is_digit(byte) ? byte - '0' : lower - 'a' + 10);
  }
  return value;
}

void JsonCursor::read_escape(std::string& buffer) {
  static constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
  ++at_;
  const char letter = at_ < text_.size() ? text_[at_] : '\0';
  if (letter != 'u') {
    const size_t known = letter == '\0' ? std::string_view::npos : kLetters.find(letter);
    if (known == std::string_view::npos) fail("an escape of JSON");
    buffer.push_back(kMeanings[known]);
    ++at_;
    return;
  }
  ++at_;
  char32_t code_point = read_hex();
  if (code_point >= 0xD800 && code_point < 0xDC00) {
    if (text_.substr(at_, 2) != "\\u") fail("the second half of a surrogate pair");
    at_ += 2;
    const char32_t low = read_hex();
    if (low < 0xDC00 || low > 0xDFFF) fail("the second half of a surrogate pair");
    code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
  } else if (code_point >= 0xDC00 && code_point <= 0xDFFF) {
    fail("a surrogate pair, not its second half");
  }
  append_utf8(code_point, buffer);
}

std::optional<int64_t> JsonCursor::read_integer() {
  peek();
  size_t at = at_;
  const bool negative = at < text_.size() && text_[at] == '-';
  if (negative) ++at;
  const size_t first = at;
  int64_t value = 0;
  for (; at < text_.size() && is_digit(text_[at]) && at - first < kMostDigits; ++at) {
    value = 10 * value + (text_[at] - '0');
  }
  const char next = at < text_.size() ? text_[at] : '\0';
  const bool leading_zero = at - first > 1 && text_[first] == '0';
  if (at == first || leading_zero || is_digit(next) || next == '.' || next == 'e' || next == 'E') {
    return std::nullopt;
  }
  at_ = at;
  return negative ? -value : value;
}

void JsonCursor::skip_string() {
  for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
    if (text_[at_] == '\\') ++at_;
  }
  if (at_ >= text_.size()) {
    at_ = text_.size();
    fail("'\"'");
  }
  ++at_;
}

void JsonCursor::skip_value() {
  const char first = peek();
  if (first == '"') return skip_string();
  if (first != '{' && first != '[') {
    const size_t begin = at_;
    at_ = std::min(text_.find_first_of(",]} \t\r\n", at_), text_.size());
    if (at_ == begin) fail("a value");
    return;
  }
  size_t depth = 0;
  do {
    at_ = std::min(text_.find_first_of("\"{}[]", at_), text_.size());
    if (at_ == text_.size()) fail("a closing bracket");
    if (text_[at_] == '"') {
      skip_string();
      continue;
    }
    depth += text_[at_] == '{' || text_[at_] == '[' ? 1 : -1;
    ++at_;
  } while (depth > 0);
}

}  // namespace polygraft::tokenizer
