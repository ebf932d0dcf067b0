// tests/tokenizer/character_bpe_test.cpp: the tokenizer.json form of SentencePiece models: BPE that
// starts from characters, with bytes to fall back on.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "sample_tokenizer.h"
#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

const Tokens kLetters{"\u2581", "a", "b", "\u00E9"};
const Tokens kMerges{"a b", "\u2581 a", "\u2581 ab", "\u2581 \u2581", "ab \u00E9"};

}  // namespace

TEST_CASE("characters merge, others fall back to bytes", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(character_json(kLetters, kMerges));
  CHECK(tokens_of(tokenizer, "ab") == Tokens{"\u2581ab"});
  CHECK(tokens_of(tokenizer, "ab ab  a\u00E9") ==
        Tokens{"\u2581ab", "\u2581ab", "\u2581", "\u2581a", "\u00E9"});
  CHECK(tokens_of(tokenizer, "z\n") == Tokens{"\u2581", "<0x7A>", "<0x0A>"});
  CHECK(tokenizer.decode(tokenizer.encode("ab z\u65E5\n")) == "ab z\u65E5\n");
  CHECK(tokenizer.token_bytes(*tokenizer.find("\u2581ab")) == " ab");
  CHECK(tokenizer.token_bytes(*tokenizer.find("<0xFF>")) == "\xFF");
}

TEST_CASE("without bytes to fall back on, a character is unknown or dropped", "[tokenizer]") {
  Json json = character_json(kLetters, kMerges);
  json["model"]["byte_fallback"] = false;
  CHECK(tokens_of(load_json(json), "azzbz") == Tokens{"\u2581a", "<unk>", "b", "<unk>"});
  json["model"]["fuse_unk"] = false;
  CHECK(tokens_of(load_json(json), "azzb") == Tokens{"\u2581a", "<unk>", "<unk>", "b"});
  json["model"]["unk_token"] = nullptr;
  CHECK(tokens_of(load_json(json), "azzb") == Tokens{"\u2581ab"});
  json["model"]["unk_token"] = "<none>";
  CHECK_THROWS_AS(load_json(json), FormatError);
}

TEST_CASE("cutting before spaces changes nothing", "[tokenizer][property]") {
  // The merge "b \u2581", last of all, joins words and so forbids the cuts; the other merges and
  // their ranks are the same, and its own result never occurs in texts without "b ".
  Tokens joining = kMerges;
  joining.push_back("b \u2581");
  const Tokenizer cut = load_json(character_json(kLetters, kMerges));
  const Tokenizer whole = load_json(character_json(kLetters, joining));
  size_t num_pieces = 0;
  bpe_of(cut).for_each_piece(
      "a a a", [](TokenId) {}, [&](std::string_view) { ++num_pieces; });
  CHECK(num_pieces == 3);
  bpe_of(whole).for_each_piece(
      "a a a", [](TokenId) {}, [&](std::string_view) { ++num_pieces; });
  CHECK(num_pieces == 4);
  RandomStream random(5, "spaces");
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (size_t length = random.below(60); text.size() < length;) {
      text += std::array<const char*, 5>{"a", "ab\u00E9", " ", "  ", "z"}[random.below(5)];
    }
    REQUIRE(tokens_of(cut, text) == tokens_of(whole, text));
  }
}

TEST_CASE("Metaspace marks the beginning of the text, not of every part", "[tokenizer]") {
  Json json = character_json(kLetters, kMerges);
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "Metaspace"},
                           {"replacement", "\u2581"},
                           {"prepend_scheme", "first"},
                           {"split", false}};
  const int next_id = static_cast<int>(json["model"]["vocab"].size());
  json["added_tokens"] = {added_token_json(next_id, "<x>")};
  CHECK(tokens_of(load_json(json), "ab<x>ab ab") == Tokens{"\u2581ab", "<x>", "ab", "\u2581ab"});
  CHECK(tokens_of(load_json(json), "<x>ab") == Tokens{"<x>", "ab"});
  json["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  CHECK_THROWS_AS(load_json(json), NotBuiltError);
  json["pre_tokenizer"]["prepend_scheme"] = "always";
  CHECK(tokens_of(load_json(json), "<x>ab") == Tokens{"<x>", "\u2581ab"});
  json["pre_tokenizer"]["add_prefix_space"] = false;
  CHECK_THROWS_AS(load_json(json), FormatError);
}

}  // namespace polygraft::tokenizer
