// tests/tokenizer/tokenizer_json_test.cpp: what may be wrong with a tokenizer.json, and how it is
// told.
#include <catch2/catch.hpp>
#include <ctime>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "sample_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

template <class ErrorType>
std::string refusal(const Json& json) {
  return message_of<ErrorType>([&] { load_json(json); });
}

/// With the bytes ! and ? as added tokens.
Json sample_with_added() {
  Json json = sample_json();
  json["added_tokens"] = {added_token_json('!', "!"), added_token_json('?', "?")};
  return json;
}

}  // namespace

TEST_CASE("ids, tokens and bytes belong together", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json({"Ġ t", "Ġt h"}));
  CHECK(tokenizer.size() == 258);
  CHECK(tokenizer.token(257) == "Ġth");
  CHECK(tokenizer.token_bytes(257) == " th");
  CHECK(tokenizer.find("Ġth") == 257);
  CHECK_FALSE(tokenizer.find("nothing").has_value());
  CHECK(tokenizer.token(9999).empty());
  CHECK(tokenizer.decode(tokenizer.encode(" the\n")) == " the\n");
  CHECK(tokenizer.encode("").empty());
  CHECK(tokenizer.decode(std::vector<TokenId>{0xE6}) == "\uFFFD");
  CHECK_THROWS_AS(tokenizer.decode(std::vector<TokenId>{258}), ConfigError);
  CHECK_THROWS_AS(tokenizer.decode(std::vector<TokenId>{-1}), ConfigError);
}

TEST_CASE("both spellings of merges are read", "[tokenizer]") {
  Json json = sample_json({"a b"});
  json["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  CHECK(tokens_of(load_json(json), "ab") == std::vector<std::string>{"ab"});
}

TEST_CASE("invalid UTF-8 is refused with its offset", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json());
  const auto message = message_of<FormatError>([&] { tokenizer.encode("abc\xFF"); });
  CHECK(has(message, "byte 3"));
  CHECK(has(message, "255"));
}

TEST_CASE("broken files are told apart, with the place", "[tokenizer]") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(Tokenizer::load(folder.path()), IoError);
  CHECK_THROWS_AS(Tokenizer::load(folder.path() / "none.json"), IoError);
  const auto file = folder.write("tokenizer.json", R"({"version": "1.0", "model": )");
  CHECK(has(message_of<FormatError>([&] { Tokenizer::load(file); }), "byte"));
  folder.write("tokenizer.json", "[]");
  CHECK_THROWS_AS(Tokenizer::load(folder.path()), FormatError);
  folder.write("tokenizer.json", "");
  CHECK_THROWS_AS(Tokenizer::load(folder.path()), FormatError);
  fs::remove(folder.path() / "tokenizer.json");
  folder.write("tokenizer.model", "x");
  CHECK(has(message_of<FormatError>([&] { Tokenizer::load(folder.path()); }), "SentencePiece"));
}

TEST_CASE("a broken model names what is broken", "[tokenizer]") {
  const Json good = sample_json({"a b"});
  Json json = good;
  json["model"]["merges"] = Json::array({"a q!"});
  CHECK(has(refusal<FormatError>(json), "merge 0 needs token 'q!'"));
  json["model"]["merges"] = Json::array({"a c"});
  CHECK(has(refusal<FormatError>(json), "merge 0 needs token 'ac'"));
  json["model"]["merges"] = Json::array({"a b", "a b c"});
  CHECK(has(refusal<FormatError>(json), "merge 1 is not a pair"));
  json["model"]["merges"] = "a b";
  CHECK_THROWS_AS(load_json(json), FormatError);
  json = good;
  json["model"]["vocab"]["twin"] = 5;
  CHECK(has(refusal<FormatError>(json), "two tokens have id 5"));
  json["model"]["vocab"]["twin"] = -1;
  CHECK_THROWS_AS(load_json(json), FormatError);
  json["model"]["vocab"]["twin"] = 1LL << 40;
  CHECK_THROWS_AS(load_json(json), FormatError);
  json["model"]["vocab"]["twin"] = "six";
  CHECK(has(refusal<FormatError>(json), "'twin' has no integer id"));
  json["model"].erase("vocab");
  CHECK_THROWS_AS(load_json(json), FormatError);
  json.erase("model");
  CHECK(has(refusal<FormatError>(json), "'model'"));
}

TEST_CASE("what is not supported is refused by name", "[tokenizer]") {
  const auto with = [](const std::vector<std::string>& path, const Json& value) {
    Json json = sample_json();
    Json* place = &json;
    for (const std::string& key : path) place = &(*place)[key];
    *place = value;
    return refusal<NotBuiltError>(json);
  };
  CHECK(has(with({"model", "type"}, "Unigram"), "'Unigram'"));
  CHECK(has(with({"model", "dropout"}, 0.1), "dropout"));
  CHECK(has(with({"model", "end_of_word_suffix"}, "</w>"), "end_of_word_suffix"));
  CHECK(has(with({"model", "continuing_subword_prefix"}, "##"), "continuing_subword_prefix"));
  CHECK(has(with({"decoder"}, {{"type", "WordPiece"}}), "'WordPiece'"));
  CHECK(has(with({"decoder"}, nullptr), "decoder"));
  CHECK(has(with({"normalizer"}, {{"type", "Lowercase"}}), "'Lowercase'"));
  CHECK(has(with({"pre_tokenizer"}, {{"type", "WhitespaceSplit"}}), "'WhitespaceSplit'"));
  for (const char* type : {"RobertaProcessing", "BertProcessing"}) {
    CHECK(has(with({"post_processor"}, {{"type", type}, {"sep", {"a", 97}}, {"cls", {"b", 98}}}),
              concat("post-processor '", type, "'")));
  }
}

TEST_CASE("an unsupported piece inside a sequence is refused by name", "[tokenizer]") {
  const auto refused = [](const char* part, const char* list, const char* type) {
    Json json = sample_json();
    json[part] = {{"type", "Sequence"}, {list, {{{"type", type}}}}};
    return has(refusal<NotBuiltError>(json), concat("'", type, "'"));
  };
  CHECK(refused("normalizer", "normalizers", "BertNormalizer"));
  CHECK(refused("normalizer", "normalizers", "Precompiled"));
  CHECK(refused("pre_tokenizer", "pretokenizers", "UnicodeScripts"));
  CHECK(refused("decoder", "decoders", "CTC"));
  CHECK(refused("post_processor", "processors", "BertProcessing"));
  Json json = sample_json();
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", {json["pre_tokenizer"], {{"type", "Digits"}}}}};
  CHECK(has(refusal<NotBuiltError>(json), "'Digits' after ByteLevel"));
  const Json text{{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json = sample_json();
  json["post_processor"] = {
      {"type", "TemplateProcessing"}, {"single", {text, text}}, {"special_tokens", Json::object()}};
  CHECK(has(refusal<NotBuiltError>(json), "a template that holds its text twice"));
  json["post_processor"]["single"] = Json::array({text});
  json["post_processor"] = {{"type", "Sequence"},
                            {"processors", {json["post_processor"], json["post_processor"]}}};
  CHECK(has(refusal<NotBuiltError>(json), "a template behind another"));
  json["post_processor"] = json["post_processor"]["processors"][0];
  json["post_processor"]["single"] = {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, text};
  CHECK_THROWS_AS(load_json(json), FormatError);
}

TEST_CASE("BPE settings that are not supported are refused by name", "[tokenizer]") {
  for (const char* model : {"WordPiece", "WordLevel", "Unigram", ""}) {
    Json json = sample_json();
    json["model"]["type"] = model;
    CHECK(has(refusal<NotBuiltError>(json), concat("'", model, "'")));
  }
  Json json = sample_json();
  json["model"]["byte_fallback"] = true;
  json["model"]["vocab"].erase("a");
  CHECK(has(refusal<NotBuiltError>(json), "byte_fallback"));
  json = sample_json();
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "a*"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  CHECK(has(refusal<NotBuiltError>(json), "match the empty string"));
  json["pre_tokenizer"]["behavior"] = "Sometimes";
  json["pre_tokenizer"]["pattern"] = {{"Regex", "a+"}};
  CHECK(has(refusal<FormatError>(json), "'Sometimes'"));
}

TEST_CASE("BOS and EOS come from the files beside", "[tokenizer]") {
  const TemporaryFolder folder;
  const std::string text = sample_json().dump();
  folder.write("tokenizer.json", text);
  const Tokenizer bare = Tokenizer::load(folder.path());
  CHECK(bare.hash() == sha256(text));
  CHECK_THROWS_AS(bare.prefix_id(), FormatError);
  folder.write("tokenizer.json", sample_with_added().dump());
  folder.write("tokenizer_config.json", R"({"bos_token": null, "eos_token": {"content": "!"}})");
  const Tokenizer with_eos = Tokenizer::load(folder.path());
  CHECK_FALSE(with_eos.bos_id().has_value());
  CHECK(with_eos.eos_id() == '!');
  CHECK(with_eos.prefix_id() == '!');
  folder.write("special_tokens_map.json", R"({"bos_token": "?"})");
  CHECK(Tokenizer::load(folder.path()).prefix_id() == '?');
  folder.write("tokenizer_config.json", R"({"added_tokens_decoder": {"256": {"content": "<x>"}}})");
  CHECK(has(message_of<FormatError>([&] { Tokenizer::load(folder.path()); }), "'<x>' with id 256"));
  folder.write("tokenizer_config.json", R"({"bos_token": "<none>"})");
  CHECK(has(message_of<FormatError>([&] { Tokenizer::load(folder.path()); }), "<none>"));
}

TEST_CASE("tokens that transformers alone would add are refused", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.json", sample_with_added().dump());
  const auto refused = [&](const std::string& file, const std::string& json) {
    folder.write(file, json);
    return message_of<FormatError>([&] { Tokenizer::load(folder.path()); });
  };
  const std::string config = "tokenizer_config.json";
  CHECK(has(refused(config, R"({"pad_token": "[PAD]"})"), "'[PAD]'"));
  CHECK(has(refused(config, R"({"mask_token": {"content": "[M]"}})"), "'[M]'"));
  CHECK(has(refused(config, R"({"additional_special_tokens": ["!", "<a>"]})"), "'<a>'"));
  CHECK(has(refused(config, R"({"extra_special_tokens": {"image_token": "<i>"}})"), "'<i>'"));
  folder.write(config, R"({"pad_token": "!", "sep_token": null, "extra_special_tokens": []})");
  CHECK_NOTHROW(Tokenizer::load(folder.path()));
  CHECK(has(refused("added_tokens.json", R"({"<x>": 256})"), "'<x>' with id 256"));
  CHECK(has(refused(config, R"({"eos_token": "."})"), "a plain token of its model"));
  folder.write(config, R"({"added_tokens_decoder": {}})");  // is looked at alone
  CHECK_NOTHROW(Tokenizer::load(folder.path()));
  folder.write("special_tokens_map.json", R"({"pad_token": "[PAD]"})");
  CHECK_NOTHROW(Tokenizer::load(folder.path()));
  std::filesystem::remove(folder.path() / config);
  CHECK(has(message_of<FormatError>([&] { Tokenizer::load(folder.path()); }), "'[PAD]'"));
}

TEST_CASE("flags of added tokens that transformers would take instead are refused", "[tokenizer]") {
  const TemporaryFolder folder;
  Json json = sample_with_added();
  const auto message = [&](const std::string& flags) {
    folder.write("tokenizer.json", json.dump());
    folder.write("tokenizer_config.json",
                 concat(R"({"added_tokens_decoder": {"33": {"content": "!")", flags, "}}}"));
    return message_of<FormatError>([&] { Tokenizer::load(folder.path()); });
  };
  CHECK(message(R"(, "special": true)").empty());
  CHECK(message("").empty());  // `normalized`, without a normaliser
  for (const char* flag : {"lstrip", "rstrip", "single_word"}) {
    CHECK(
        has(message(concat(R"(, "special": true, ")", flag, R"(": true)")), concat(flag, " true")));
  }
  json["normalizer"] = {{"type", "NFC"}};
  CHECK(message(R"(, "special": true)").empty());
  CHECK(has(message(""), "normalized true"));
}

TEST_CASE("150,000 entries are read in the time of a blink", "[tokenizer]") {
  Json json = sample_json();
  Json& vocab = json["model"]["vocab"];
  Json& merges = json["model"]["merges"];
  std::vector<std::string> tokens;
  for (char c = '!'; c <= '~'; ++c) tokens.emplace_back(1, c);
  for (size_t i = 0; vocab.size() < 150'000; ++i) {
    const std::string left = tokens[i / 94], right = tokens[i % 94];
    if (vocab.contains(left + right)) continue;
    vocab.emplace(left + right, vocab.size());
    merges.push_back(Json::array({left, right}));
    tokens.push_back(left + right);
  }
  const TemporaryFolder folder;
  const fs::path file = folder.write("tokenizer.json", json.dump(1));
  const std::clock_t start = std::clock();
  const Tokenizer tokenizer = Tokenizer::load(file);
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  INFO(seconds << " s of processor time");
  CHECK(tokenizer.size() == 150'000);
#ifndef __SANITIZE_ADDRESS__
  CHECK(seconds < 0.6);  // 0.2 s where it was written
#endif
}

}  // namespace polygraft::tokenizer
