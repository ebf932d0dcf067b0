// tests/tokenizer/pattern_test.cpp
#include "tokenizer/pattern.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "sample_tokenizer.h"
#include "tokenizer/regex_dialect.h"

namespace polygraft::tokenizer {
namespace {

bool whole_match(const std::string& regex, std::string_view text) {
  Span match;
  SearchBudget budget(text);
  return Pattern(regex, "test").find(text, 0, match, budget) && match.begin == 0 &&
         match.end == text.size();
}

}  // namespace

TEST_CASE("white space is Unicode's, which PCRE2's own is not", "[tokenizer]") {
  CHECK(whole_match(R"(\s+)", " \t\n\u00A0\u3000\u2028"));
  CHECK_FALSE(whole_match(R"(\s)", "\u180E"));
  CHECK(whole_match(R"(\S)", "\u180E"));
  CHECK(whole_match(R"([\S])", "\u180E"));
  CHECK_FALSE(whole_match(R"([^\s])", "\u0085"));
  CHECK(whole_match(R"([\s\S]+)", "a \u180E\n漢"));
}

TEST_CASE("characters newer than PCRE2's tables have their categories", "[tokenizer]") {
  CHECK(whole_match(R"(\p{L})", "\U00031350"));     // CJK extension H, Unicode 15
  CHECK(whole_match(R"([\p{Nd}])", "\U00011F50"));  // Kawi digit zero, Unicode 15
  CHECK_FALSE(whole_match(R"([^\s\p{L}\p{N}])", "\U00031350"));
  CHECK_FALSE(whole_match(R"(\P{L})", "\U000105C0"));  // Todhri, Unicode 16
  CHECK(whole_match(R"(\P{L})", "1"));
}

TEST_CASE("a bounded repetition followed by + repeats, as Oniguruma reads it", "[tokenizer]") {
  CHECK(to_pcre2(R"(\d{1,3}+x)", "t").find("{1,3})+x") != std::string::npos);
  CHECK(whole_match(R"(a{2}+)", "aaaa"));
  CHECK(whole_match(R"((?:ab){1,2}+)", "ababab"));
  CHECK(whole_match(R"(é{,2})"
                    "x",
                    "ééx"));
}

TEST_CASE("escapes mean what Oniguruma means", "[tokenizer]") {
  CHECK(whole_match(R"(\v)", "\v"));
  CHECK_FALSE(whole_match(R"(\v)", "\n"));
  CHECK(whole_match(R"([\u4e00-\u9fa5\x{3040}]+)", "漢字\u3040"));
  CHECK(whole_match(R"([!\-\[\]\\/]+)", "!-[]\\/"));
  CHECK(whole_match(R"((?i:'ll|k))", "'LL"));
}

TEST_CASE("what has no exact translation is refused by name", "[tokenizer]") {
  for (const char* regex : {R"(\w+)", R"(\bx)", R"(\h)", R"(^a)", R"(a$)", R"([a[b]])", R"([a&&b])",
                            R"(\p{Han})", R"(\p{Mn})", R"((?<name>a))", R"((?i)a)", R"(\1)",
                            R"([\P{L}])", R"(a{x})", R"(\xFF)", R"([])", R"([a)", R"(a))"}) {
    INFO(regex);
    CHECK_THROWS_AS(Pattern(regex, "tokenizer.json"), NotBuiltError);
  }
  const auto message = message_of<NotBuiltError>([] { Pattern(R"(a|\w)", "dir/tokenizer.json"); });
  CHECK(message.find("escape \\w") != std::string::npos);
  CHECK(message.find("dir/tokenizer.json") != std::string::npos);
}

TEST_CASE("a broken expression and an empty match are errors", "[tokenizer]") {
  CHECK_THROWS_AS(Pattern("a(b", "tokenizer.json"), FormatError);
  CHECK_THROWS_AS(Pattern("+", "tokenizer.json"), FormatError);
  CHECK_THROWS_AS(Pattern("x*", "tokenizer.json"), NotBuiltError);
}

TEST_CASE("a pattern that backtracks without end gives up and says where", "[tokenizer]") {
  const Pattern pattern(R"((?:a+)+(?:a+)+[bc])", "tokenizer.json", PatternEngine::kPcre2);
  Span match;
  const std::string text(5000, 'a');
  SearchBudget budget(text);
  const auto message = message_of<FormatError>([&] { pattern.find(text, 7, match, budget); });
  CHECK(message.find("gave up") != std::string::npos);
  CHECK(message.find("from byte 7 of 5000") != std::string::npos);
}

TEST_CASE("a pattern that looks ahead in vain from everywhere ends with its offset",
          "[tokenizer]") {
  // From each "a" to the end and back without a match; matches so short that all is seen again.
  for (const char* regex : {"a+b", "a+b|a"}) {
    INFO(regex);
    const Pattern pattern(regex, "tokenizer.json");
    REQUIRE(pattern.has_automaton());
    Span match;
    const std::string small = "xaab" + std::string(10'000, 'a'), large(2'000'000, 'a');
    const auto search = [&](const std::string& text) {
      SearchBudget budget(text);
      size_t from = 0;
      while (from < text.size() && pattern.find(text, from, match, budget)) from = match.end;
    };
    CHECK_NOTHROW(search(small));
    const auto message = message_of<FormatError>([&] { search(large); });
    INFO(message);
    CHECK(message.find("looked at in vain, from byte 1") != std::string::npos);
    CHECK(message.find(" of 2000000") != std::string::npos);
  }
}

TEST_CASE("PCRE2 finds beyond the part that it searches at once", "[tokenizer]") {
  const Pattern pattern("(?:é|a)b", "test", PatternEngine::kPcre2);
  for (const size_t before : {0, 3070, 3071, 3072, 3073, 3074, 4095, 4096, 4097, 9000}) {
    std::string text;
    for (size_t i = 0; i < before; ++i) text += i % 3 == 0 ? "é" : "x";
    const size_t begin = text.size();
    text += "éb";
    Span match;
    SearchBudget budget(text);
    INFO(before);
    REQUIRE(pattern.find(text, 0, match, budget));
    CHECK(match.begin == begin);
    CHECK(match.end == begin + 3);
    CHECK_FALSE(pattern.find(text, match.end, match, budget));
    CHECK_FALSE(pattern.find(text, begin + 2, match, budget));
  }
}

TEST_CASE("a literal pattern matches its text only", "[tokenizer]") {
  Span match;
  const Pattern pattern = Pattern::literal("a.é", "test");
  SearchBudget budget("xa.éx");
  CHECK(pattern.find("xa.éx", 0, match, budget));
  CHECK(match.begin == 1);
  CHECK(match.end == 5);
  CHECK_FALSE(pattern.find("xabéx", 0, match, budget));
}

}  // namespace polygraft::tokenizer
