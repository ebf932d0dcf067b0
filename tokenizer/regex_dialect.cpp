// tokenizer/regex_dialect.cpp: see regex_dialect.h.
// One pass over the pattern. `atom_` is where the last atom begins in the output, which `{n,m}+`
// needs: Oniguruma reads it as a repeated repetition, PCRE2 as a possessive one.
#include "tokenizer/regex_dialect.h"

#include <array>
#include <cctype>
#include <cstdio>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/newer_characters.h"

namespace polygraft::tokenizer {
namespace {

using Range = std::pair<char32_t, char32_t>;

/// Unicode's White_Space. PCRE2's own \s has U+180E too, which left White_Space in Unicode 6.3.
constexpr std::array<Range, 10> kWhiteSpace{{{0x9, 0xD},
                                             {0x20, 0x20},
                                             {0x85, 0x85},
                                             {0xA0, 0xA0},
                                             {0x1680, 0x1680},
                                             {0x2000, 0x200A},
                                             {0x2028, 0x2029},
                                             {0x202F, 0x202F},
                                             {0x205F, 0x205F},
                                             {0x3000, 0x3000}}};

/// General categories that only grew between Unicode 14 and 16, so that adding ranges is exact.
constexpr std::array<std::string_view, 31> kCategories{
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe",
    "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "Cc", "Co", "Cs"};

std::string hex(char32_t code_point) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "\\x{%X}", static_cast<unsigned>(code_point));
  return text.data();
}

std::string range_text(Range range) {
  return range.first == range.second ? hex(range.first)
                                     : hex(range.first) + "-" + hex(range.second);
}

std::string white_space() {
  std::string text;
  for (const Range& range : kWhiteSpace) text += range_text(range);
  return text;
}

std::string not_white_space() {
  std::string text;
  char32_t from = 0;
  for (const Range& range : kWhiteSpace) {
    text += range_text({from, range.first - 1});
    from = range.second + 1;
  }
  // Surrogates are no characters of UTF-8 text, and PCRE2 refuses them as range ends only.
  return text + range_text({from, 0x10FFFF});
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::filesystem::path& where)
      : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) element();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw NotBuiltError(concat("regular expression ", what))
        .found(concat("at byte ", at_, " of the pattern ", in_, " in ", where_.string()));
  }
  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void copy(size_t length) {
    out_.append(in_.substr(at_, length));
    at_ += length;
  }
  void begin_atom() { atom_ = out_.size(); }

  void element();
  void group();
  void interval();
  void escape();
  void character_class();
  void class_item();
  void class_escape();
  std::string property();
  char32_t code_point_escape();

  std::string_view in_;
  const std::filesystem::path& where_;
  size_t at_ = 0;
  std::string out_;
  size_t atom_ = 0;
  std::vector<size_t> open_groups_;
};

void Translator::element() {
  switch (in_[at_]) {
    case '\\':
      return escape();
    case '[':
      return character_class();
    case '(':
      return group();
    case ')':
      if (open_groups_.empty()) refuse("with a ')' that closes nothing");
      atom_ = open_groups_.back();
      open_groups_.pop_back();
      return copy(1);
    case '{':
      return interval();
    case '^':
    case '$':
      refuse(concat("with '", in_[at_], "' outside a character class"));
    case '*':
    case '+':
    case '?':
    case '|':
      return copy(1);
    default:
      if (!is_continuation_byte(in_[at_])) begin_atom();
      return copy(1);
  }
}

void Translator::group() {
  static constexpr std::array<std::string_view, 7> kOpenings{"(?:",  "(?i:", "(?=", "(?!",
                                                             "(?<=", "(?<!", "(?>"};
  open_groups_.push_back(out_.size());
  for (const std::string_view opening : kOpenings) {
    if (next_is(opening)) return copy(opening.size());
  }
  if (next_is("(?") || next_is("(*")) refuse(concat("group ", in_.substr(at_, 4)));
  copy(1);
}

void Translator::interval() {
  const size_t close = in_.find('}', at_);
  const std::string_view body =
      close == std::string_view::npos ? "" : in_.substr(at_ + 1, close - at_ - 1);
  const size_t comma = body.find(',');
  if (body.empty() || body.find_first_not_of("0123456789,") != std::string_view::npos ||
      comma != body.rfind(',') || body == ",") {
    refuse("with a '{' that is no repetition");
  }
  at_ = close + 1;
  out_ += concat("{", comma == 0 ? "0" : "", body, "}");
  if (next_is("?") && comma == std::string_view::npos) refuse("with '{n}?'");
  if (next_is("+")) {
    out_.insert(atom_, "(?:");
    out_ += ")+";
    ++at_;
  }
}

/// \xHH, \x{H...} or \uHHHH; stands on the letter.
char32_t Translator::code_point_escape() {
  const bool braces = next_is("x{");
  const size_t begin = at_ + (braces ? 2 : 1);
  const size_t end = braces ? in_.find('}', begin) : begin + (in_[at_] == 'u' ? 4 : 2);
  const std::string digits(in_.substr(begin, end == std::string_view::npos ? end : end - begin));
  const bool well_formed = !digits.empty() && digits.size() <= 6 &&
                           digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!well_formed || end == std::string_view::npos || end > in_.size()) {
    refuse("with a broken \\x or \\u");
  }
  const auto code_point = static_cast<char32_t>(std::stoul(digits, nullptr, 16));
  if (!braces && in_[at_] == 'x' && code_point > 0x7F) refuse("with a raw byte above \\x7F");
  at_ = end + (braces ? 1 : 0);
  return code_point;
}

/// Stands on the 'p' or 'P' of \p{Name}; gives what stands for it inside a positive class.
std::string Translator::property() {
  const size_t close = in_.find('}', at_);
  if (at_ + 1 >= in_.size() || in_[at_ + 1] != '{' || close == std::string_view::npos) {
    refuse("with \\p and no {category}");
  }
  const std::string_view name = in_.substr(at_ + 2, close - at_ - 2);
  bool known = false;
  for (const std::string_view category : kCategories) known |= category == name;
  if (!known) refuse(concat("property \\p{", name, "}"));
  at_ = close + 1;
  std::string text = concat("\\p{", name, "}");
  for (const NewerCharacters& newer : newer_characters()) {
    if (newer.category.starts_with(name)) text += range_text({newer.first, newer.last});
  }
  return text;
}

void Translator::escape() {
  begin_atom();
  ++at_;
  if (at_ == in_.size()) refuse("that ends in a backslash");
  const char letter = in_[at_];
  if (letter == 's' || letter == 'S') {
    out_ += concat(letter == 's' ? "[" : "[^", white_space(), "]");
    ++at_;
  } else if (letter == 'p' || letter == 'P') {
    out_ += concat(letter == 'p' ? "[" : "[^", property(), "]");
  } else if (letter == 'd') {
    out_ += "[";
    --at_;
    class_escape();
    out_ += "]";
  } else {
    --at_;
    class_escape();
  }
}

/// What may stand inside and outside a class alike; stands on the backslash.
void Translator::class_escape() {
  static constexpr std::string_view kDecimal = "p{Nd}";
  ++at_;
  if (at_ == in_.size()) refuse("that ends in a backslash");
  const char letter = in_[at_];
  if (letter == 'd') {
    const std::string digits = Translator(concat("\\", kDecimal), where_).run();
    out_.append(digits, 1, digits.size() - 2);  // without the brackets of an own class
    ++at_;
  } else if (letter == 'x' || letter == 'u') {
    out_ += hex(code_point_escape());
  } else if (letter == 'v') {
    out_ += hex(0xB);  // a vertical tab; PCRE2's \v is a class
    ++at_;
  } else if (std::string_view("rntfae").find(letter) != std::string_view::npos ||
             std::ispunct(static_cast<unsigned char>(letter)) != 0 || letter == ' ') {
    out_ += '\\';
    copy(1);
  } else {
    refuse(concat("escape \\", letter));
  }
}

void Translator::character_class() {
  begin_atom();
  copy(1);
  if (next_is("^")) copy(1);
  if (next_is("]")) refuse("with an empty character class");
  while (!next_is("]")) {
    if (at_ == in_.size()) refuse("with a '[' that nothing closes");
    class_item();
  }
  copy(1);
}

void Translator::class_item() {
  if (next_is("[")) refuse("with a class inside a class");
  if (next_is("&&")) refuse("with a class intersection '&&'");
  if (!next_is("\\")) return copy(1);
  const char letter = at_ + 1 < in_.size() ? in_[at_ + 1] : '\0';
  if (letter == 's' || letter == 'S') {
    out_ += letter == 's' ? white_space() : not_white_space();
    at_ += 2;
  } else if (letter == 'p') {
    ++at_;
    out_ += property();
  } else if (letter == 'P') {
    refuse("with \\P inside a character class");
  } else {
    class_escape();
  }
}

}  // namespace

std::string to_pcre2(std::string_view oniguruma, const std::filesystem::path& where) {
  return Translator(oniguruma, where).run();
}

}  // namespace polygraft::tokenizer
