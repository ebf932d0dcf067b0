// tests/tokenizer/sentencepiece_test.cpp: sample models, good and broken.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "sample_sentencepiece.h"
#include "sample_tokenizer.h"
#include "tokenizer/base_view.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

const Tokens kPieces{"ab", "\u2581ab", "\u2581", "a", "b"};

Tokenizer load_model(const std::string& bytes) {
  return Tokenizer(parse_sentencepiece(bytes, "tokenizer.model", "/nowhere"));
}

std::string refusal(const std::string& bytes) {
  return message_of<FormatError>([&] { load_model(bytes); });
}

}  // namespace

TEST_CASE("a SentencePiece model is a tokenizer like any other", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", sample_model(kPieces));
  const Tokenizer tokenizer = Tokenizer::load(folder.path());
  CHECK(tokenizer.size() == 259 + 5);
  CHECK(tokens_of(tokenizer, "ab aab") == Tokens{"\u2581ab", "\u2581", "a", "ab"});
  CHECK(tokens_of(tokenizer, "\u00E9") == Tokens{"\u2581", "<0xC3>", "<0xA9>"});
  CHECK(tokens_of(tokenizer, "<s>").size() > 1);
  CHECK(tokenizer.decode(tokenizer.encode("ab \u00E9 aab")) == "ab \u00E9 aab");
  CHECK(tokenizer.bos_id() == 1);
  CHECK(tokenizer.eos_id() == 2);
  CHECK(tokenizer.is_special(1));
  CHECK_FALSE(tokenizer.is_special(*tokenizer.find("ab")));
  CHECK(tokenizer.token_bytes(*tokenizer.find("\u2581ab")) == " ab");
  CHECK(tokenizer.token_bytes(3 + 0xC3) == "\xC3");
  CHECK(tokenizer.decode(std::vector<TokenId>{1, *tokenizer.find("ab"), 0}, true) == "ab");
  CHECK_THROWS_AS(tokenizer.encode("a\xFF"), FormatError);
  CHECK_THROWS_AS(tokenizer.decode(std::vector<TokenId>{9999}), ConfigError);
  folder.write("tokenizer_config.json", R"({"bos_token": "</s>"})");
  CHECK(Tokenizer::load(folder.path() / "tokenizer.model").bos_id() == 2);
}

TEST_CASE("flags beside a SentencePiece model say what stands around a text", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", sample_model(kPieces));
  const auto around = [&](const std::string& config) {
    folder.write("tokenizer_config.json", config);
    return Tokenizer::load(folder.path()).special_template();
  };
  using Ids = std::vector<TokenId>;
  CHECK(around("{}").before.empty());
  CHECK(around(R"({"add_bos_token": null})").before.empty());
  CHECK(around(R"({"add_bos_token": false, "add_eos_token": false})").before.empty());
  CHECK(around(R"({"add_bos_token": true})").before == Ids{1});
  CHECK(around(R"({"add_bos_token": true})").after.empty());
  CHECK(around(R"({"add_eos_token": true, "bos_token": "</s>"})").after == Ids{2});
  CHECK(around(R"({"add_bos_token": true, "bos_token": "</s>"})").before == Ids{2});
  CHECK(has(message_of<FormatError>([&] { around(R"({"add_bos_token": "yes"})"); }),
            "add_bos_token"));
}

TEST_CASE("tokenizer.json comes before tokenizer.model", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", sample_model(kPieces));
  folder.write("tokenizer.json", sample_json().dump());
  CHECK(Tokenizer::load(folder.path()).size() == 256);
  CHECK(Tokenizer::load(folder.path() / "tokenizer.model").size() == 264);
}

TEST_CASE("an extended SentencePiece model has its base inside", "[tokenizer]") {
  Tokens more = kPieces;
  more.insert(more.end(), {"abab", "\u2581abab"});
  const Tokenizer base = load_model(sample_model(kPieces)),
                  extended = load_model(sample_model(more));
  const Tokenizer view = without_added_tokens(extended, static_cast<TokenId>(base.size()));
  CHECK(tokens_of(extended, "abab") == Tokens{"\u2581abab"});
  CHECK(view.encode("abab ab") == base.encode("abab ab"));
  CHECK(view.token(264) == "abab");
}

TEST_CASE("a unigram model takes the best segmentation, the first of equals", "[tokenizer]") {
  // Scores fall by one from -1: "a" and "b" together are worth -3, as "ab" is.
  const Tokens pieces{"a", "b", "ab", "\u2581", "ba"};
  const Tokenizer tokenizer = load_model(sample_model(pieces, {.model_type = 1}));
  CHECK(tokens_of(tokenizer, "ab") == Tokens{"\u2581", "ab"});
  CHECK(tokens_of(tokenizer, "ba") == Tokens{"\u2581", "b", "a"});
  CHECK(tokens_of(tokenizer, "a\u00E9b") == Tokens{"\u2581", "a", "<0xC3>", "<0xA9>", "b"});
  const Tokenizer plain =
      load_model(sample_model(pieces, {.model_type = 1, .byte_fallback = false}));
  CHECK(tokens_of(plain, "a\u00E9zb q") == Tokens{"\u2581", "a", "<unk>", "b", "\u2581", "<unk>"});
  CHECK(plain.encode("").empty());
}

TEST_CASE("a unigram model's sums are floats, which start anew at -100,000", "[tokenizer]") {
  // After 900 times "a" a float cannot tell that "c" + "d" is worth more than "cd"; "cd" is found
  // first. After 1,100 the sum is small again.
  std::string model = sample_model({}, {.model_type = 1});
  for (const auto& [text, score] :
       {std::pair{"\u2581", -1.0F}, {"a", -100.0F}, {"c", -1.25F}, {"d", -1.249F}, {"cd", -2.5F}}) {
    model += piece_field(text, score, PieceType::kNormal);
  }
  const Tokenizer tokenizer = load_model(model);
  const auto last_after = [&](size_t length) {
    return tokens_of(tokenizer, std::string(length, 'a') + "cd").back();
  };
  CHECK(last_after(0) == "d");
  CHECK(last_after(900) == "cd");
  CHECK(last_after(1100) == "d");
}

TEST_CASE("a broken SentencePiece model names what is broken", "[tokenizer]") {
  const std::string good = sample_model(kPieces);
  for (size_t length = 1; length < good.size(); length += 97) {
    INFO(length);
    CHECK_FALSE(refusal(good.substr(0, length)).empty());
  }
  CHECK(has(refusal("tokenizer"), "byte"));
  CHECK(has(refusal(""), "0 unknown pieces"));
  CHECK(has(refusal(sample_model({"a", "a"})), "piece 260 is there twice"));
  CHECK(has(refusal(sample_model({"\xFF"})), "piece 259 is not UTF-8"));
  CHECK(has(refusal(sample_model({""})), "piece 259 is the empty string"));
  CHECK(has(refusal(good + piece_field("x", 0, static_cast<PieceType>(9))), "unknown type 9"));
  CHECK(has(refusal(good + piece_field("x", std::nanf(""), PieceType::kNormal)), "not finite"));
  CHECK(has(refusal(good + piece_field("x", 0, PieceType::kByte)), "257 byte pieces"));
  CHECK(has(refusal(good + piece_field("x", 0, PieceType::kUnknown)), "2 unknown pieces"));
  CHECK(message_of<NotBuiltError>([&] {
          load_model(sample_model(kPieces, {.model_type = 3}));
        }).find("model_type 3") != std::string::npos);
  CHECK(message_of<NotBuiltError>([&] {
          load_model(sample_model(kPieces, {.model_type = 4}));
        }).find("model_type 4") != std::string::npos);
}

TEST_CASE("a character map that would lead out of bounds is refused", "[tokenizer]") {
  const auto with_map = [](const std::string& map) {
    return refusal(sample_model(kPieces, {.character_map = map}));
  };
  CHECK(has(with_map("xy"), "character map"));
  CHECK(has(with_map(std::string(4, '\xFF') + "abc"), "whole blocks"));
  std::string map = {'\0', '\4', '\0', '\0'};  // an array of 1024 bytes
  map += std::string(1024, '\0') + std::string(1, '\0');
  CHECK(with_map(map).empty());
  std::string far = map;
  far[6] = '\xFF';  // an offset beyond the array
  CHECK(has(with_map(far), "offsets within the array"));
  std::string leaf = map;
  leaf[7] = '\x80', leaf[4] = '\x7F';  // a leaf that points behind the texts
  CHECK(has(with_map(leaf), "leaves that point into the texts"));
}

}  // namespace polygraft::tokenizer
