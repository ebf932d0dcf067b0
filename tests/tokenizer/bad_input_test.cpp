// tests/tokenizer/bad_input_test.cpp: files that are broken, absurd or hostile, and where the
// errors say it is.
#include <algorithm>
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "sample_tokenizer.h"
#include "tokenizer/json_cursor.h"
#include "tokenizer/tokenizer_json.h"

namespace polygraft::tokenizer {
namespace {

std::string error_of(const std::string& text) {
  return message_of<FormatError>([&] { parse_tokenizer(text, "tokenizer.json", "/nowhere"); });
}

/// The sample's text with one part replaced.
std::string edited(const std::string& from, const std::string& to) {
  std::string text = sample_json({"a b"}).dump(1);
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("broken JSON is told with its line", "[tokenizer]") {
  const std::string text = sample_json({"a b"}).dump(1);
  const auto line = 1 + std::count(text.begin(), text.begin() + text.find("\"merges\""), '\n');
  CHECK(has(error_of(edited("\"merges\": [", "\"merges\": [,")), concat("(line ", line, ")")));
  CHECK(has(error_of(edited("\"vocab\": {", "\"vocab\": {{")), "line"));
  CHECK(has(error_of(text + "}"), "not valid JSON at byte"));
  for (size_t length : {size_t{0}, size_t{1}, text.size() / 3, text.size() / 2, text.size() - 1}) {
    CHECK_FALSE(error_of(text.substr(0, length)).empty());
  }
  CHECK(has(error_of(edited("\"a b\"", "\"a\tb\"")), "byte"));
  CHECK(has(error_of(edited("\"a b\"", "\"a \\ud800\"")), "byte"));
}

TEST_CASE("text that is not UTF-8 is told with its byte", "[tokenizer]") {
  const std::string text = edited("\"a b\"", "\"a \xFF\"");
  CHECK(has(error_of(text), concat("invalid UTF-8 at byte ", text.find('\xFF'))));
}

TEST_CASE("nesting and cycles end in an error, not in a crash", "[tokenizer]") {
  const std::string deep(200'000, '[');
  CHECK(has(error_of(edited("\"normalizer\": null", "\"normalizer\": " + deep)), "byte"));
  CHECK(has(error_of(deep), "byte"));
  const std::string closed = std::string(5000, '[') + std::string(5000, ']');
  CHECK(has(error_of(edited("\"normalizer\": null", "\"normalizer\": " + closed)), "256 levels"));
  CHECK_FALSE(error_of(edited("\"a b\"", closed)).empty());
  Json nested = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  for (int i = 0; i < 60; ++i) nested = {{"type", "Sequence"}, {"normalizers", {nested}}};
  Json json = sample_json();
  json["normalizer"] = nested;
  CHECK(load_json(json).encode("a").size() == 1);
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", "Sequence"}};
  CHECK_THROWS_AS(load_json(json), FormatError);
}

TEST_CASE("ids that clash, repeat or leave holes", "[tokenizer]") {
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 97")), "two tokens have id 97"));
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 98, \"b\": 98")), "twice"));
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 98, \"b\": 998")), "twice"));
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 98.5")), "no integer id"));
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 99999999999999999999")), "no integer id"));
  CHECK(has(error_of(edited("\"b\": 98", "\"b\": 098")), "no integer id"));
  Json json = sample_json();
  json["model"]["vocab"]["far"] = 1000;
  const Tokenizer tokenizer = load_json(json);
  CHECK(tokenizer.size() == 1001);
  CHECK(tokenizer.token(500).empty());
  CHECK_THROWS_AS(tokenizer.decode(std::vector<TokenId>{500}), ConfigError);
  json["added_tokens"] = {added_token_json(5, "<x>")};
  CHECK_THROWS_AS(load_json(json), FormatError);
}

TEST_CASE("a pattern that explodes is an error with the offset in the text", "[tokenizer]") {
  Json json = sample_json();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", "(?:(?>a)|a|aa)+[cd]"}}},
         {"behavior", "Isolated"},
         {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  const Tokenizer tokenizer = load_json(json);
  const std::string text = "aac" + std::string(60, 'a');
  const auto message = message_of<FormatError>([&] { tokenizer.encode(text); });
  CHECK(has(message, "match limit"));
  CHECK(has(message, "byte 3 of 63"));
}

TEST_CASE("the cursor reads what JSON allows and nothing else", "[tokenizer]") {
  const std::string text = R"({"a\n\u00e9\ud83d\ude00": [ -12 , 3, "x" ], "b":{}})";
  JsonCursor cursor(text, "x.json");
  std::vector<std::string> seen;
  cursor.read_object([&](std::string_view key) {
    seen.emplace_back(key);
    if (key == "b") return cursor.read_object([](std::string_view) {});
    cursor.read_array([&] {
      const auto number = cursor.read_integer();
      std::string buffer;
      seen.push_back(number ? std::to_string(*number) : std::string(cursor.read_string(buffer)));
    });
  });
  CHECK(seen == std::vector<std::string>{"a\n\u00E9\U0001F600", "-12", "3", "x", "b"});
  for (const char* broken : {"[1,]", "[1 2]", "[", "[\"\\x\"]", "[\"\\u12g4\"]", "[\"\\udc00\"]",
                             "[\"\x01\"]", "[\"a"}) {
    INFO(broken);
    const std::string bad = broken;
    JsonCursor reader(bad, "x.json");
    CHECK_THROWS_AS(reader.read_array([&] {
      std::string buffer;
      if (!reader.read_integer()) reader.read_string(buffer);
    }),
                    FormatError);
  }
}

}  // namespace polygraft::tokenizer
