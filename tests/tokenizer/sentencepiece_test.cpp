// tests/tokenizer/sentencepiece_test.cpp: models written here field by field, good and broken.
#include <bit>
#include <catch2/catch.hpp>

#include "core/error.h"
#include "sample_tokenizer.h"
#include "tokenizer/base_view.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

void append_varint(uint64_t value, std::string& out) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7F) | 0x80));
  out.push_back(static_cast<char>(value));
}

std::string number_field(uint32_t number, uint64_t value) {
  std::string out;
  append_varint(number << 3, out);
  append_varint(value, out);
  return out;
}

std::string bytes_field(uint32_t number, const std::string& bytes) {
  std::string out;
  append_varint((number << 3) | 2, out);
  append_varint(bytes.size(), out);
  return out + bytes;
}

std::string piece_field(const std::string& text, float score, PieceType type) {
  std::string message = bytes_field(1, text);
  append_varint((2 << 3) | 5, message);
  const auto bits = std::bit_cast<uint32_t>(score);
  for (int shift = 0; shift < 32; shift += 8) message.push_back(static_cast<char>(bits >> shift));
  return bytes_field(1, message + number_field(3, static_cast<uint64_t>(type)));
}

struct ModelOptions {
  uint64_t model_type = 2;
  bool byte_fallback = true;
  std::string character_map;
};

/// <unk> <s> </s>, the bytes where wanted, then `pieces`, best first.
std::string model(const Tokens& pieces, const ModelOptions& options = {}) {
  std::string file = piece_field("<unk>", 0, PieceType::kUnknown) +
                     piece_field("<s>", 0, PieceType::kControl) +
                     piece_field("</s>", 0, PieceType::kControl);
  for (int byte = 0; options.byte_fallback && byte < 256; ++byte) {
    const char* digits = "0123456789ABCDEF";
    file += piece_field(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 0,
                        PieceType::kByte);
  }
  float score = 0;
  for (const std::string& piece : pieces) {
    file += piece_field(piece, score -= 1, PieceType::kNormal);
  }
  file += bytes_field(
      2, number_field(3, options.model_type) + number_field(35, options.byte_fallback ? 1 : 0));
  const std::string map =
      options.character_map.empty() ? "" : bytes_field(2, options.character_map);
  return file +
         bytes_field(3, bytes_field(1, "identity") + map + number_field(3, 1) + number_field(4, 0));
}

const Tokens kPieces{"ab", "\u2581ab", "\u2581", "a", "b"};

Tokenizer load_model(const std::string& bytes) {
  return Tokenizer(parse_sentencepiece(bytes, "tokenizer.model", "/nowhere"));
}

std::string refusal(const std::string& bytes) {
  return message_of<FormatError>([&] { load_model(bytes); });
}

bool has(const std::string& message, std::string_view part) {
  INFO(message);
  return message.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a SentencePiece model is a tokenizer like any other", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", model(kPieces));
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

TEST_CASE("tokenizer.json comes before tokenizer.model", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("tokenizer.model", model(kPieces));
  folder.write("tokenizer.json", sample_json().dump());
  CHECK(Tokenizer::load(folder.path()).size() == 256);
  CHECK(Tokenizer::load(folder.path() / "tokenizer.model").size() == 264);
}

TEST_CASE("an extended SentencePiece model has its base inside", "[tokenizer]") {
  Tokens more = kPieces;
  more.insert(more.end(), {"abab", "\u2581abab"});
  const Tokenizer base = load_model(model(kPieces)), extended = load_model(model(more));
  const Tokenizer view = without_added_tokens(extended, static_cast<TokenId>(base.size()));
  CHECK(tokens_of(extended, "abab") == Tokens{"\u2581abab"});
  CHECK(view.encode("abab ab") == base.encode("abab ab"));
  CHECK(view.token(264) == "abab");
}

TEST_CASE("a broken SentencePiece model names what is broken", "[tokenizer]") {
  const std::string good = model(kPieces);
  for (size_t length = 1; length < good.size(); length += 97) {
    INFO(length);
    CHECK_FALSE(refusal(good.substr(0, length)).empty());
  }
  CHECK(has(refusal("tokenizer"), "byte"));
  CHECK(has(refusal(""), "0 unknown pieces"));
  CHECK(has(refusal(model({"a", "a"})), "piece 260 is there twice"));
  CHECK(has(refusal(model({"\xFF"})), "piece 259 is not UTF-8"));
  CHECK(has(refusal(model({""})), "piece 259 is the empty string"));
  CHECK(has(refusal(good + piece_field("x", 0, static_cast<PieceType>(9))), "unknown type 9"));
  CHECK(has(refusal(good + piece_field("x", std::nanf(""), PieceType::kNormal)), "not finite"));
  CHECK(has(refusal(good + piece_field("x", 0, PieceType::kByte)), "257 byte pieces"));
  CHECK(has(refusal(good + piece_field("x", 0, PieceType::kUnknown)), "2 unknown pieces"));
  CHECK(message_of<NotBuiltError>([&] {
          load_model(model(kPieces, {.model_type = 3}));
        }).find("model_type 3") != std::string::npos);
}

TEST_CASE("a character map that would lead out of bounds is refused", "[tokenizer]") {
  const auto with_map = [](const std::string& map) {
    return refusal(model(kPieces, {.character_map = map}));
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
