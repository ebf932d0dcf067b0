// tests/tokenizer/decoder_test.cpp: decoders step by step, normaliser steps, templates.
#include "tokenizer/decoder.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "sample_tokenizer.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"

namespace polygraft::tokenizer {
namespace {

std::string decoded(const Json& json, const std::vector<std::string>& tokens) {
  return Decoder::from_json(json, "tokenizer.json").decode(tokens);
}

Json strip(int start, int stop, const char* content = " ") {
  return {{"type", "Strip"}, {"content", content}, {"start", start}, {"stop", stop}};
}

const Json kSpace = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
const Json kFallback = {{"type", "ByteFallback"}};
const Json kLlama = {{"type", "Sequence"},
                     {"decoders", {kSpace, kFallback, {{"type", "Fuse"}}, strip(1, 0)}}};

std::string normalized(const Json& json, std::string_view text) {
  std::string buffer;
  return std::string(Normalizer::from_json(json, "tokenizer.json").normalize(text, buffer));
}

}  // namespace

TEST_CASE("byte tokens become text, or one U+FFFD each", "[tokenizer]") {
  CHECK(decoded(kFallback, {"<0xE6>", "<0x97>", "<0xA5>"}) == "\u65E5");
  CHECK(decoded(kFallback, {"<0xE6>", "<0x97>", "x", "<0x+F>"}) == "\uFFFD\uFFFDx\x0F");
  CHECK(decoded(kFallback, {"<0xG1>", "<0x1>", "<0x411>"}) == "<0xG1><0x1><0x411>");
}

TEST_CASE("Llama's decoder takes the first space off the text", "[tokenizer]") {
  CHECK(decoded(kLlama, {"\u2581a", "\u2581b\u2581", "<0x0A>"}) == "a b \n");
  const Decoder decoder = Decoder::from_json(kLlama, "tokenizer.json");
  CHECK(decoder.bytes_of("\u2581a") == " a");
  CHECK(decoder.bytes_of("<0xE6>") == "\xE6");
  CHECK_FALSE(decoder.concatenates_bytes());
}

TEST_CASE("Strip takes at most so many characters off each token", "[tokenizer]") {
  CHECK(decoded(strip(2, 1, "\u00E9"), {"\u00E9\u00E9\u00E9a\u00E9\u00E9", "b"}) ==
        "\u00E9a\u00E9b");
  CHECK(decoded(strip(1, 1), {" "}).empty());
  CHECK_THROWS_AS(decoded(strip(-1, 0), {}), FormatError);
  CHECK_THROWS_AS(decoded(strip(1, 0, "ab"), {}), FormatError);
}

TEST_CASE("Metaspace drops the visible spaces of the first token alone", "[tokenizer]") {
  Json metaspace = {{"type", "Metaspace"}, {"replacement", "\u2581"}};
  CHECK(decoded(metaspace, {"\u2581a\u2581b", "\u2581c"}) == "ab c");
  metaspace["prepend_scheme"] = "never";
  CHECK(decoded(metaspace, {"\u2581a", "\u2581c"}) == " a c");
  metaspace["prepend_scheme"] = "sometimes";
  CHECK_THROWS_AS(decoded(metaspace, {}), FormatError);
}

TEST_CASE("normaliser steps beside the Unicode forms", "[tokenizer]") {
  const Json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  const Json spaces = {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", "_"}};
  const Json ends = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  CHECK(normalized(prepend, "a") ==
        "\u2581"
        "a");
  CHECK(normalized(prepend, "").empty());
  CHECK(normalized(spaces, "a   b c  ") == "a_b c_");
  CHECK(normalized(ends, " \u3000a ") == "a ");
  CHECK(normalized({{"type", "Sequence"}, {"normalizers", {ends, prepend, spaces}}}, "  a  b") ==
        "\u2581"
        "a_b");
  CHECK_THROWS_AS(normalized({{"type", "Replace"}, {"pattern", "x"}, {"content", ""}}, "x"),
                  FormatError);
  CHECK_THROWS_AS(
      normalized({{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", ""}}, "x"),
      FormatError);
}

TEST_CASE("a template is told, not applied, and checked", "[tokenizer]") {
  Json json = sample_json();
  json["added_tokens"] = {added_token_json(256, "<s>"), added_token_json(257, "</s>")};
  const auto special = [](const char* name) {
    return Json{{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  Json processor = {{"type", "TemplateProcessing"},
                    {"single", {special("<s>"), {{"Sequence", {{"id", "A"}}}}, special("</s>")}},
                    {"special_tokens",
                     {{"<s>", {{"id", "<s>"}, {"ids", {256}}, {"tokens", {"<s>"}}}},
                      {"</s>", {{"id", "</s>"}, {"ids", {257}}, {"tokens", {"</s>"}}}}}}};
  json["post_processor"] = {{"type", "Sequence"},
                            {"processors", {{{"type", "ByteLevel"}}, processor}}};
  const Tokenizer tokenizer = load_json(json);
  CHECK(tokenizer.special_template().before == std::vector<TokenId>{256});
  CHECK(tokenizer.special_template().after == std::vector<TokenId>{257});
  CHECK(tokenizer.encode("a") == std::vector<TokenId>{'a'});
  processor["special_tokens"]["<s>"]["ids"] = {3};
  json["post_processor"] = processor;
  CHECK_THROWS_AS(load_json(json), FormatError);
  processor["special_tokens"].erase("<s>");
  json["post_processor"] = processor;
  CHECK_THROWS_AS(load_json(json), FormatError);
  json["post_processor"] = {{"type", "BertProcessing"}};
  CHECK_THROWS_AS(load_json(json), NotBuiltError);
}

}  // namespace polygraft::tokenizer
