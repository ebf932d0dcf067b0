// tokenizer/json_cursor.h: JSON read in one pass without building a document, for objects of
// hundreds of thousands of members. Strict (RFC 8259) in what it reads; skip_value() only finds a
// value's end.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace polygraft::tokenizer {

class JsonCursor {
 public:
  /// @param text valid UTF-8 that outlives the cursor. @param where names the source in errors.
  JsonCursor(std::string_view text, const std::filesystem::path& where)
      : text_(text), where_(where) {}

  size_t position() const { return at_; }
  void move_to(size_t position) { at_ = position; }

  /// The first byte of the next value or sign, behind white space; 0 at the end of the text.
  char peek();
  /// @throws FormatError with the position when something else stands there.
  void expect(char sign);

  /// A string's text, in the JSON itself or, where it has escapes, in `buffer`.
  /// @throws FormatError for anything that is no string.
  std::string_view read_string(std::string& buffer);
  /// A whole number of at most 18 digits, or nothing (and no move) when something else stands
  /// there.
  std::optional<int64_t> read_integer();
  /// Moves behind the next value, whose brackets must match.
  void skip_value();

  /// Calls on_member(key) for each member; it must read or skip the value.
  template <class OnMember>
  void read_object(const OnMember& on_member) {
    read_list('{', '}', [&] {
      const std::string_view key = read_string(key_buffer_);
      expect(':');
      on_member(key);
    });
  }
  /// Calls on_element() for each element; it must read or skip it.
  template <class OnElement>
  void read_array(const OnElement& on_element) {
    read_list('[', ']', on_element);
  }

  [[noreturn]] void fail(const std::string& expected);

 private:
  template <class OnItem>
  void read_list(char open, char close, const OnItem& on_item) {
    expect(open);
    if (peek() == close) return expect(close);
    while (true) {
      on_item();
      if (peek() == close) return expect(close);
      expect(',');
    }
  }
  void skip_string();
  void read_escape(std::string& buffer);
  char32_t read_hex();

  std::string_view text_;
  const std::filesystem::path& where_;
  size_t at_ = 0;
  std::string key_buffer_;
};

}  // namespace polygraft::tokenizer
