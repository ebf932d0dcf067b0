// tests/tokenizer/regex_automaton_test.cpp: the automaton against PCRE2, which stays the reference:
// on the released patterns, on every code point, and on expressions made at random.
#include "tokenizer/regex_automaton.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/random.h"
#include "sample_tokenizer.h"
#include "tokenizer/pattern.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

using Spans = std::vector<std::pair<size_t, size_t>>;

Spans matches(const Pattern& pattern, std::string_view text) {
  Spans spans;
  Span match;
  SearchBudget budget(text);
  for (size_t from = 0; from < text.size() && pattern.find(text, from, match, budget);
       from = match.end) {
    spans.emplace_back(match.begin, match.end);
  }
  return spans;
}

const std::string kTail = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string kContractions = R"((?i:'s|'t|'re|'ve|'m|'ll|'d))";
const std::string kUpper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])",
                  kLower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])";
const std::string kMark = R"([^\r\n\p{L}\p{N}]?)";

/// The patterns of GPT-2, Qwen, Llama 3, tiktoken's cl100k and o200k, Mistral's tekken, DeepSeek's
/// three, and what Digits stands for.
std::vector<std::string> released_patterns() {
  const std::string words = kContractions + "|" + kMark + R"(\p{L}+|)";
  const std::string o200k_end = R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string title = kMark + kUpper + "*" + kLower + "+",
                    upper = kMark + kUpper + "+" + kLower + "*";
  return {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
          words + R"(\p{N})" + kTail,
          words + R"(\p{N}{1,3})" + kTail,
          kContractions + "|" + kMark + R"(+\p{L}+|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*|)" +
              R"(\s*[\r\n]|\s+(?!\S)|\s+)",
          title + kContractions + "?|" + upper + kContractions + R"(?|\p{N}{1,3})" + o200k_end,
          title + "|" + upper + R"(|\p{N})" + o200k_end,
          R"(\p{N}{1,3})",
          "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
          R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
          R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
          R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])",
          R"(\d|\S)"};
}

/// Where the two engines part, none where they agree.
void require_same(const std::string& regex, const std::vector<std::string>& texts) {
  const Pattern fast(regex, "test"), plain(regex, "test", PatternEngine::kPcre2);
  REQUIRE(fast.has_automaton());
  REQUIRE_FALSE(plain.has_automaton());
  for (const std::string& text : texts) {
    if (matches(fast, text) == matches(plain, text)) continue;
    INFO(regex << "\non: " << text);
    REQUIRE(matches(fast, text) == matches(plain, text));
  }
}

std::string random_text(RandomStream& random, const std::vector<std::string>& pieces, size_t most) {
  std::string text;
  for (size_t i = 1 + random.below(most); i > 0; --i) {
    if (random.below(8) > 0) {
      text += pieces[random.below(pieces.size())];
      continue;
    }
    const auto code_point =
        static_cast<char32_t>(random.below(random.below(2) == 0 ? 0x3000 : 0x110000));
    append_utf8(code_point >= 0xD800 && code_point < 0xE000 ? U'\uFFFD' : code_point, text);
  }
  return text;
}

/// An expression over a, b and c that uses all that the automaton knows.
std::string random_regex(RandomStream& random, int depth) {
  static const std::vector<std::string> kAtoms{"a", "b", "c", "[ab]", "[^a]", "[bc]", "(?i:a)"};
  static const std::vector<std::string> kCounts{"", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}"};
  static const std::vector<std::string> kModes{"", "", "", "?", "+"};
  std::string regex;
  for (size_t i = 1 + random.below(3); i > 0; --i) {
    std::string atom = kAtoms[random.below(kAtoms.size())];
    if (depth > 0 && random.below(3) == 0) {
      atom = "(?:" + random_regex(random, depth - 1) + "|" + random_regex(random, depth - 1) + ")";
    }
    const std::string& count = kCounts[random.below(kCounts.size())];
    const bool plain = count.empty() || count == "{2}";
    regex += atom + count + (plain ? "" : kModes[random.below(kModes.size())]);
    if (random.below(8) == 0) regex += random.below(2) == 0 ? "(?!a)" : "(?=[bc])";
  }
  return random.below(4) == 0 ? regex + "|" + random_regex(random, 0) : regex;
}

}  // namespace

TEST_CASE("released patterns match by automaton as by PCRE2", "[tokenizer][property]") {
  const std::vector<std::string> pieces{
      "a",  "B",  "word",   "Word",   "WORD",   " ",      "  ", "\n",    "\r\n",
      "\t", "'s", "'LL",    "'ſ",     "K",      "12",     "٣",  "é",     "e\u0301",
      "ß",  "中", "日本",   "ー",     "🙂",   "\u200d", "-",  "--",    "...",
      "_",  "/",  "\u00a0", "\u3000", "\u180e", "\u200b", "½",  "ا",     "हि",
      "한", "ǅ",  "ʰ",      "\x01",   "'",      "$",      "~~", "\u2028"};
  RandomStream random(5, "texts");
  std::vector<std::string> texts;
  for (int i = 0; i < 1500; ++i) texts.push_back(random_text(random, pieces, 40));
  for (const std::string& regex : released_patterns()) require_same(regex, texts);
}

TEST_CASE("both engines see every code point alike", "[tokenizer]") {
  std::vector<std::string> texts;
  for (char32_t first = 0; first <= CodePointSet::kLast; first += 64) {
    if (first >= 0xD800 && first < 0xE000) continue;
    std::string alone, between_letters;
    for (char32_t i = 0; i < 64; ++i) {
      append_utf8(first + i, alone);
      append_utf8(first + i, between_letters);
      between_letters += 'a';
    }
    texts.push_back(alone);
    texts.push_back(between_letters);
  }
  for (const std::string& regex : released_patterns()) require_same(regex, texts);
  for (const char* name :
       {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
        "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "Cc", "Co"}) {
    require_same(std::string(R"([\p{)") + name + "}]+", texts);
  }
}

TEST_CASE("expressions made at random match by automaton as by PCRE2", "[tokenizer][property]") {
  RandomStream random(23, "expressions");
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i)
    texts.push_back(random_text(random, {"a", "b", "c", "A", "ab", "bc"}, 12));
  int num_compared = 0;
  for (int round = 0; round < 4000; ++round) {
    const std::string regex = random_regex(random, 2);
    try {
      if (!Pattern(regex, "test").has_automaton())
        continue;  // possessive where it makes a difference
    } catch (const NotBuiltError&) {
      continue;  // can match the empty string
    }
    require_same(regex, texts);
    ++num_compared;
  }
  CHECK(num_compared > 1000);
}

TEST_CASE("what the automaton cannot know is left to PCRE2", "[tokenizer]") {
  for (const char* regex :
       {"(?>a+)b", "a++ab?a", "(?<=a)b", "(?!ab)a", "(?i:é)", "(?i:[a-z])+", "(?:a?)+b"}) {
    INFO(regex);
    CHECK_FALSE(Pattern(regex, "test").has_automaton());
  }
  CHECK(Pattern("a++b", "test").has_automaton());
  CHECK(Pattern::literal("x.(", "test").has_automaton());
}

TEST_CASE("a pattern that makes PCRE2 backtrack without end is matched in one pass",
          "[tokenizer]") {
  const Pattern pattern("(?:a+)+(?:a+)+[bc]", "test");
  Span match;
  const std::string text = std::string(5000, 'a') + "c";
  SearchBudget budget(text);
  CHECK(pattern.find(text, 7, match, budget));
  CHECK(match.begin == 7);
  CHECK(match.end == 5001);
}

}  // namespace polygraft::tokenizer
