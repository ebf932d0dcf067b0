// tokenizer/regex_tree.cpp: see regex_tree.h.
// The parser throws Unsupported, which does not leave this file, at whatever it does not know.
#include "tokenizer/regex_tree.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

using Kind = RegexNode::Kind;

struct Unsupported {};

RegexNode class_node(CodePointSet set) { return {Kind::kClass, std::move(set), {}}; }

bool has_lookahead(const RegexNode& node) {
  return node.kind == Kind::kAhead || node.kind == Kind::kNotAhead ||
         std::any_of(node.parts.begin(), node.parts.end(), has_lookahead);
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : in_(pattern) {}

  RegexNode run() {
    RegexNode tree = alternation();
    if (at_ != in_.size()) throw Unsupported();
    return tree;
  }

 private:
  bool done() const { return at_ == in_.size(); }
  bool next_is(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  bool take(std::string_view text) {
    if (!next_is(text)) return false;
    at_ += text.size();
    return true;
  }

  RegexNode alternation();
  RegexNode sequence();
  RegexNode atom();
  RegexNode group();
  RegexNode literal(char32_t code_point) const;
  bool quantifier(RegexNode& node);
  bool bounds(int& least, int& most);
  int number();
  char32_t escaped_character();
  CodePointSet character_class();
  void class_item(CodePointSet& set);

  std::string_view in_;
  size_t at_ = 0;
  int depth_ = 0;
  bool caseless_ = false;
};

RegexNode Parser::alternation() {
  constexpr int kMostDepth = 50;
  if (++depth_ > kMostDepth) throw Unsupported();
  RegexNode choice{Kind::kAlternate, {}, {}};
  do {
    choice.parts.push_back(sequence());
  } while (take("|"));
  --depth_;
  return choice.parts.size() == 1 ? std::move(choice.parts.front()) : choice;
}

/// Possessive repetition is the same as greedy repetition where giving a code point back cannot
/// help: the rest either matches at once, being allowed to be empty, or cannot begin with what
/// is repeated. That is decided where the whole rest is known: in an outermost sequence.
void require_greedy_will_do(const RegexNode& repeat, const std::vector<RegexNode>& sequence,
                            size_t rest) {
  const CodePointSet& repeated = repeat.parts.front().set;
  for (size_t i = rest; i < sequence.size(); ++i) {
    if (has_lookahead(sequence[i]) || sequence[i].first_code_points().intersects(repeated)) {
      const bool all_optional = std::all_of(
          sequence.begin() + static_cast<ptrdiff_t>(rest), sequence.end(),
          [](const RegexNode& part) { return part.matches_empty() && !has_lookahead(part); });
      if (!all_optional) throw Unsupported();
      return;
    }
    if (!sequence[i].matches_empty()) return;
  }
}

RegexNode Parser::sequence() {
  RegexNode result{Kind::kSequence, {}, {}};
  std::vector<size_t> possessive;
  while (!done() && !next_is("|") && !next_is(")")) {
    result.parts.push_back(atom());
    while (quantifier(result.parts.back())) {
      if (take("?")) {
        result.parts.back().lazy = true;
      } else if (take("+")) {
        possessive.push_back(result.parts.size() - 1);
      }
    }
  }
  for (const size_t i : possessive) {
    const RegexNode& repeat = result.parts[i];
    if (depth_ > 1 || repeat.parts.front().kind != Kind::kClass) throw Unsupported();
    require_greedy_will_do(repeat, result.parts, i + 1);
  }
  return result;
}

RegexNode Parser::group() {
  const bool ahead = take("(?="), not_ahead = !ahead && take("(?!");
  if (ahead || not_ahead) {
    RegexNode body = alternation();
    if (!take(")")) throw Unsupported();
    const bool one_class = body.kind == Kind::kSequence && body.parts.size() == 1 &&
                           body.parts.front().kind == Kind::kClass;
    if (!one_class) throw Unsupported();
    return {ahead ? Kind::kAhead : Kind::kNotAhead, std::move(body.parts.front().set), {}};
  }
  const bool outer_caseless = caseless_;
  if (take("(?i:")) {
    caseless_ = true;
  } else if (!take("(?:")) {
    if (next_is("(?") || next_is("(*")) throw Unsupported();
    take("(");
  }
  RegexNode body = alternation();
  if (!take(")")) throw Unsupported();
  caseless_ = outer_caseless;
  return body;
}

/// Ignoring case, an ASCII letter stands for both of its forms; k also for the Kelvin sign and s
/// for the long s.
RegexNode Parser::literal(char32_t code_point) const {
  CodePointSet set(code_point, code_point);
  if (caseless_) {
    if (code_point >= 0x80) throw Unsupported();
    const char32_t lower = code_point | 0x20;
    if (lower >= 'a' && lower <= 'z') {
      set.add(lower, lower);
      set.add(lower ^ 0x20, lower ^ 0x20);
      if (lower == 'k') set.add(0x212A, 0x212A);
      if (lower == 's') set.add(0x17F, 0x17F);
    }
  }
  return class_node(std::move(set));
}

RegexNode Parser::atom() {
  if (next_is("(")) return group();
  if (take("[")) return class_node(character_class());
  if (take("\\")) return literal(escaped_character());
  if (std::string_view("*+?{.^$").find(in_[at_]) != std::string_view::npos) throw Unsupported();
  return literal(next_code_point(in_, at_));
}

int Parser::number() {
  int value = 0;
  const auto [end, error] = std::from_chars(in_.data() + at_, in_.data() + in_.size(), value);
  if (error != std::errc()) throw Unsupported();
  at_ = static_cast<size_t>(end - in_.data());
  return value;
}

bool Parser::bounds(int& least, int& most) {
  least = 0;
  most = RegexNode::kNoLimit;
  if (take("*")) return true;
  if (take("+")) return least = 1, true;
  if (take("?")) return most = 1, true;
  if (!take("{")) return false;
  least = most = number();
  if (take(",")) most = next_is("}") ? RegexNode::kNoLimit : number();
  if (!take("}")) throw Unsupported();
  return true;
}

bool Parser::quantifier(RegexNode& node) {
  constexpr int kMostRepetitions = 100;  // a bounded repetition is written out
  int least = 0, most = 0;
  if (!bounds(least, most)) return false;
  // An empty round of a loop ends it in PCRE2, which an automaton does not see; lookahead is no
  // part of the repeated kind here.
  if (node.matches_empty() || least > kMostRepetitions || most > kMostRepetitions) {
    throw Unsupported();
  }
  RegexNode repeat{Kind::kRepeat, {}, {}, least, most};
  // A sequence of one, as a group of one atom is, counts as that atom.
  const bool single = node.kind == Kind::kSequence && node.parts.size() == 1;
  repeat.parts.push_back(single ? RegexNode(node.parts.front()) : std::move(node));
  node = std::move(repeat);
  return true;
}

/// Stands behind the backslash.
char32_t Parser::escaped_character() {
  if (done()) throw Unsupported();
  if (take("x{")) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(in_.data() + at_, in_.data() + in_.size(), value, 16);
    at_ = static_cast<size_t>(end - in_.data());
    if (error != std::errc() || value > CodePointSet::kLast || !take("}")) throw Unsupported();
    return value;
  }
  constexpr std::array<std::pair<char, char32_t>, 6> kControls{
      {{'r', 0xD}, {'n', 0xA}, {'t', 0x9}, {'f', 0xC}, {'a', 0x7}, {'e', 0x1B}}};
  const auto letter = static_cast<unsigned char>(in_[at_]);
  for (const auto& [name, code_point] : kControls) {
    if (letter == name) return ++at_, code_point;
  }
  const bool plain = letter < 0x80 && letter >= ' ' && std::isalnum(letter) == 0;
  if (!plain) throw Unsupported();
  ++at_;
  return letter;
}

/// Stands behind the '['.
CodePointSet Parser::character_class() {
  if (caseless_) throw Unsupported();
  CodePointSet set;
  const bool negated = take("^");
  while (!take("]")) {
    if (done()) throw Unsupported();
    class_item(set);
  }
  if (negated) set.invert();
  return set;
}

void Parser::class_item(CodePointSet& set) {
  if (next_is("[")) throw Unsupported();
  if (take("\\p{")) {
    const size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) throw Unsupported();
    set.add(code_points_of_category(in_.substr(at_, close - at_)));
    at_ = close + 1;
    return;
  }
  const auto character = [this] {
    return take("\\") ? escaped_character() : next_code_point(in_, at_);
  };
  const char32_t first = character();
  const bool range = next_is("-") && !next_is("-]") && !next_is("-\\p") && !next_is("-[");
  if (!range) return set.add(first, first);
  take("-");
  if (done()) throw Unsupported();
  const char32_t last = character();
  if (last < first) throw Unsupported();
  set.add(first, last);
}

}  // namespace

bool RegexNode::matches_empty() const {
  const auto empty = [](const RegexNode& part) { return part.matches_empty(); };
  switch (kind) {
    case Kind::kClass:
      return false;
    case Kind::kSequence:
      return std::all_of(parts.begin(), parts.end(), empty);
    case Kind::kAlternate:
      return std::any_of(parts.begin(), parts.end(), empty);
    case Kind::kRepeat:
      return least == 0 || parts.front().matches_empty();
    default:
      return true;
  }
}

CodePointSet RegexNode::first_code_points() const {
  CodePointSet first;
  if (kind == Kind::kClass) first = set;
  for (const RegexNode& part : parts) {
    first.add(part.first_code_points());
    if (kind == Kind::kSequence && !part.matches_empty()) break;
  }
  return first;
}

std::optional<RegexNode> parse_regex(std::string_view pcre2) {
  try {
    return Parser(pcre2).run();
  } catch (const Unsupported&) {
    return std::nullopt;
  }
}

}  // namespace polygraft::tokenizer
