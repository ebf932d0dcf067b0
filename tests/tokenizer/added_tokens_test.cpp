// tests/tokenizer/added_tokens_test.cpp
#include "tokenizer/added_tokens.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "sample_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

/// The sections of `text`, tokens in brackets.
Tokens sections_of(const std::vector<AddedToken>& tokens, std::string_view text) {
  std::vector<std::pair<std::string, AddedToken>> patterns;
  for (const AddedToken& token : tokens) patterns.emplace_back(token.content, token);
  std::vector<Section> sections;
  AddedTokenMatcher(patterns).split(text, sections);
  Tokens texts;
  for (const Section& section : sections) {
    const std::string content(section.text);
    texts.push_back(section.id >= 0 ? "[" + content + "]" : content);
  }
  return texts;
}

}  // namespace

TEST_CASE("the longest of the leftmost added tokens is taken", "[tokenizer]") {
  const std::vector<AddedToken> tokens{{"ab", 1}, {"abc", 2}, {"bcd", 3}};
  CHECK(sections_of(tokens, "xabcdab") == Tokens{"x", "[abc]", "d", "[ab]"});
  CHECK(sections_of(tokens, "abab") == Tokens{"[ab]", "[ab]"});
  CHECK(sections_of(tokens, "").empty());
  CHECK(sections_of({}, "text") == Tokens{"text"});
}

TEST_CASE("stripping takes Unicode white space along", "[tokenizer]") {
  const std::vector<AddedToken> both{{.content = "<m>", .id = 1, .lstrip = true, .rstrip = true}};
  CHECK(sections_of(both, "a \u3000<m>\n b") == Tokens{"a", "[ \u3000<m>\n ]", "b"});
  CHECK(sections_of(both, "<m> <m>") == Tokens{"[<m> ]", "[<m>]"});
  CHECK(sections_of(both, "<m>\u180E") == Tokens{"[<m>]", "\u180E"});
}

TEST_CASE("a single word is not found inside a word", "[tokenizer]") {
  const std::vector<AddedToken> tokens{{.content = "solo", .id = 1, .single_word = true}};
  CHECK(sections_of(tokens, "solo, solo") == Tokens{"[solo]", ", ", "[solo]"});
  CHECK(sections_of(tokens, "solos _solo \u0301solo") == Tokens{"solos _solo \u0301solo"});
}

TEST_CASE("tokens found inside stripped space overlap it, as in the reference", "[tokenizer]") {
  const std::vector<AddedToken> tokens{{"  ", 1},
                                       {.content = "<m>", .id = 2, .lstrip = true, .rstrip = true}};
  CHECK(sections_of(tokens, "a   <m>  b") == Tokens{"a", "[  ]", "[ <m>  ]", "[  ]", "b"});
}

TEST_CASE("a token of white space that was stripped away is none", "[tokenizer]") {
  const std::vector<AddedToken> tab{{.content = "\t", .id = 1, .lstrip = true, .rstrip = true}};
  CHECK(sections_of(tab, "a\t\tb") == Tokens{"a", "[\t\t]", "b"});
  const std::vector<AddedToken> two{{.content = "[X]", .id = 1, .rstrip = true},
                                    {.content = "  ", .id = 2, .lstrip = true}};
  CHECK(sections_of(two, "[X]  ") == Tokens{"[[X]  ]"});
}

TEST_CASE("added tokens are found before the merges and skipped on request", "[tokenizer]") {
  Json json = sample_json({"l o", "lo w"});
  json["added_tokens"] = {
      added_token_json(258, "<|end|>"),
      added_token_json(259, "low", {{"special", false}, {"single_word", true}})};
  json["added_tokens"][1]["id"] = 257;  // the model's own id for "low"
  const Tokenizer tokenizer = load_json(json);
  CHECK(tokens_of(tokenizer, "low<|end|>lower") == Tokens{"low", "<|end|>", "low", "e", "r"});
  const auto ids = tokenizer.encode("lo<|end|>w");
  CHECK(tokenizer.decode(ids) == "lo<|end|>w");
  CHECK(tokenizer.decode(ids, /*skip_special_tokens=*/true) == "low");
  CHECK(tokenizer.is_special(258));
  CHECK_FALSE(tokenizer.is_special(257));
  CHECK(tokenizer.size() == 259);
}

TEST_CASE("normalised added tokens are found in normalised text", "[tokenizer]") {
  Json json = sample_json();
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = Json::array({added_token_json(256, "caf\u00E9", {{"normalized", true}}),
                                      added_token_json(257, "th\u00E9")});
  const Tokenizer tokenizer = load_json(json);
  CHECK(tokenizer.encode("cafe\u0301") == std::vector<TokenId>{256});
  CHECK(tokenizer.encode("th\u00E9") == std::vector<TokenId>{257});
  CHECK(tokenizer.encode("the\u0301") != std::vector<TokenId>{257});
}

TEST_CASE("an added token whose id the reference would change is refused", "[tokenizer]") {
  Json json = sample_json();
  json["added_tokens"] = Json::array({added_token_json(300, "<|end|>")});
  const auto message = message_of<FormatError>([&] { load_json(json); });
  CHECK(message.find("id 256, which Hugging Face tokenizers will give it") != std::string::npos);
  CHECK(message.find("id 300") != std::string::npos);
  json["added_tokens"] =
      Json::array({added_token_json(256, "<|end|>"), added_token_json(256, "<|end|>")});
  CHECK_THROWS_AS(load_json(json), FormatError);
}

}  // namespace polygraft::tokenizer
