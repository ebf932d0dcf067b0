// tests/tokenizer/tokenizer_report_test.cpp: words, and what a report counts.
#include "tokenizer/tokenizer_report.h"

#include <catch2/catch.hpp>

#include "core/json.h"
#include "sample_tokenizer.h"
#include "tokenizer/word_breaker.h"

namespace polygraft::tokenizer {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  WordBreaker breaker;
  std::vector<std::string> words;
  breaker.for_each_word(
      text, [&](size_t begin, size_t end) { words.push_back(text.substr(begin, end - begin)); });
  return words;
}

}  // namespace

TEST_CASE("words are those of UAX 29: no spaces, no punctuation", "[tokenizer]") {
  using Words = std::vector<std::string>;
  CHECK(words_of("Don't stop, 3.5 times!") == Words{"Don't", "stop", "3.5", "times"});
  CHECK(words_of("orang-orang  \u0434\u043e\u043c") ==
        Words{"orang", "orang", "\u0434\u043e\u043c"});
  CHECK(words_of("\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a").size() == 2);
  CHECK(words_of(" ...\n").empty());
  CHECK(words_of("").empty());
}

TEST_CASE("a report counts by hand what a small text shows", "[tokenizer]") {
  const TemporaryFolder folder;
  // "low" is two merges; "\u00e9" stays two tokens of one byte each.
  const Tokenizer old = load_json(sample_json({"l o"}));
  const Tokenizer grown = load_json(sample_json({"l o", "lo w", "x y"}));
  const auto file = folder.write("nw.txt", "low low\n\u00e9\u00e9 b\n");
  const auto report = report_tokenizer(grown, &old, {{"nw", {file}}});
  const LanguageReport& language = report.languages.at("nw");
  CHECK(language.documents == 2);
  CHECK(language.bytes == 7 + 6);
  CHECK(language.words == 4);
  CHECK(language.use.tokens == 3 + 6);  // low, space, low; four bytes, space, b
  CHECK(language.use.single_byte_tokens == 1 + 6);
  REQUIRE(language.against);
  CHECK(language.against->tokens == 5 + 6);
  CHECK(language.changed_documents == 1);
  CHECK(language.fertility(language.use) == Approx(9.0 / 4));
  CHECK(language.bytes_per_token(*language.against) == Approx(13.0 / 11));
  CHECK(language.single_byte_share(language.use) == Approx(7.0 / 9));
  CHECK(report.vocabulary == 259);
  CHECK(report.unused == 259 - 5);  // used: low, space, b, and two bytes
  CHECK(report.added == 2);
  CHECK(report.added_unused == 1);
  REQUIRE(language.long_words.size() == 4);
  CHECK(language.long_words.front().text == "\u00e9\u00e9");
  CHECK(language.long_words.front().tokens == 4);
}

TEST_CASE("long words are those with most tokens, then the more frequent", "[tokenizer]") {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = load_json(sample_json());
  std::string text;
  for (int length = 1; length <= 40; ++length) text += std::string(length, 'a') + " b\n";
  const auto report =
      report_tokenizer(tokenizer, nullptr, {{"nw", {folder.write("nw.txt", text)}}});
  const auto& words = report.languages.at("nw").long_words;
  REQUIRE(words.size() == 10);
  for (size_t i = 0; i < words.size(); ++i) {
    CHECK(words[i].tokens == static_cast<int64_t>(40 - i));
    CHECK(words[i].count == 1);
    CHECK_FALSE(words[i].tokens_against);
  }
  const Json json = report.to_json();
  CHECK_FALSE(json.contains("added_tokens"));
  CHECK_FALSE(json["languages"]["nw"].contains("changed_documents"));
  CHECK(json["languages"]["nw"]["longest_words"][0]["word"] == std::string(40, 'a'));
}

TEST_CASE("tokenizers are compared by their tokens, not by their ids", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto file = folder.write("nw.txt", "ab cd\n");
  const Tokenizer one = load_json(sample_json({"a b", "c d"}));
  const Tokenizer same = load_json(sample_json({"c d", "a b"}));
  const auto report = report_tokenizer(one, &same, {{"nw", {file}}});
  CHECK(report.languages.at("nw").changed_documents == 0);
  CHECK(one.encode("ab cd") != same.encode("ab cd"));
}

}  // namespace polygraft::tokenizer
