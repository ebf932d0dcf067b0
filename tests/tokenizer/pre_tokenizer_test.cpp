// tests/tokenizer/pre_tokenizer_test.cpp
#include "tokenizer/pre_tokenizer.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "sample_tokenizer.h"
#include "tokenizer/normalizer.h"

namespace polygraft::tokenizer {
namespace {

using Pieces = std::vector<std::string>;

Json byte_level(bool prefix, bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", use_regex}};
}

Json split_json(const Json& pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}};
}

Pieces pieces_of(const Json& steps, std::string_view text) {
  const Json json = steps.is_array() ? Json{{"type", "Sequence"}, {"pretokenizers", steps}} : steps;
  const PreTokenizer pre_tokenizer = PreTokenizer::from_json(json, "tokenizer.json");
  Pieces pieces;
  pre_tokenizer.for_each_piece(text, /*at_start=*/true,
                               [&](std::string_view piece) { pieces.emplace_back(piece); });
  return pieces;
}

Pieces dash_pieces(const char* behavior, bool invert = false) {
  return pieces_of({split_json({{"String", "-"}}, behavior, invert), byte_level(false, false)},
                   "-the-final--countdown-");
}

}  // namespace

TEST_CASE("the behaviours of Split are the reference's", "[tokenizer]") {
  CHECK(dash_pieces("Isolated") == Pieces{"-", "the", "-", "final", "-", "-", "countdown", "-"});
  CHECK(dash_pieces("Removed") == Pieces{"the", "final", "countdown"});
  CHECK(dash_pieces("MergedWithPrevious") == Pieces{"-", "the-", "final-", "-", "countdown-"});
  CHECK(dash_pieces("MergedWithNext") == Pieces{"-the", "-final", "-", "-countdown", "-"});
  CHECK(dash_pieces("Contiguous") == Pieces{"-", "the", "-", "final", "--", "countdown", "-"});
  CHECK(dash_pieces("Removed", /*invert=*/true) == Pieces{"-", "-", "-", "-", "-"});
}

TEST_CASE("GPT-2's pattern leaves one space to the next word", "[tokenizer]") {
  CHECK(pieces_of(byte_level(false, true), "Hello there   dear, it's 12") ==
        Pieces{"Hello", " there", "  ", " dear", ",", " it", "'s", " 12"});
}

TEST_CASE("the prefix space is put before every piece of an earlier step", "[tokenizer]") {
  CHECK(pieces_of(byte_level(true, true), "a b") == Pieces{" a", " b"});
  CHECK(pieces_of({split_json({{"Regex", "-"}}, "Isolated"), byte_level(true, false)}, "a- b") ==
        Pieces{" a", " -", " b"});
  CHECK(pieces_of(byte_level(true, true), "").empty());
}

TEST_CASE("Digits stand alone or together", "[tokenizer]") {
  const auto digits = [](bool individual) {
    return Json{{"type", "Digits"}, {"individual_digits", individual}};
  };
  CHECK(pieces_of({digits(true), byte_level(false, false)}, "ab12½c") ==
        Pieces{"ab", "1", "2", "½", "c"});
  CHECK(pieces_of({digits(false), byte_level(false, false)}, "ab12½c") == Pieces{"ab", "12½", "c"});
}

TEST_CASE("other pre-tokenizers are refused by name", "[tokenizer]") {
  const auto refusal = [](const Json& json) {
    return message_of<NotBuiltError>([&] { PreTokenizer::from_json(json, "tokenizer.json"); });
  };
  CHECK(refusal({{"type", "Whitespace"}}).find("'Whitespace'") != std::string::npos);
  CHECK(refusal({{"type", "Sequence"},
                 {"pretokenizers", {byte_level(false, true), {{"type", "Punctuation"}}}}})
            .find("'Punctuation' after ByteLevel") != std::string::npos);
  CHECK_THROWS_AS(
      pieces_of({split_json({{"String", "-"}}, "Sideways"), byte_level(false, false)}, ""),
      FormatError);
  CHECK_THROWS_AS(PreTokenizer::from_json({{"type", "Sequence"}}, "tokenizer.json"), FormatError);
}

TEST_CASE("a normaliser changes what is not normal and copies nothing else", "[tokenizer]") {
  const Normalizer nfc = Normalizer::from_json({{"type", "NFC"}}, "tokenizer.json");
  std::string buffer;
  const std::string composed = "caf\u00E9 漢字";
  CHECK(nfc.normalize(composed, buffer).data() == composed.data());
  CHECK(nfc.normalize("cafe\u0301", buffer) == "caf\u00E9");
  // The reference's tables are Unicode 9's: U+1DF6 came with 10 and does not reorder.
  CHECK(nfc.normalize("a\u1DF6\u0334", buffer) == "a\u1DF6\u0334");
  const Normalizer none = Normalizer::from_json(nullptr, "tokenizer.json");
  CHECK(none.normalize("e\u0301", buffer) == "e\u0301");
  const Json both = {{"type", "Sequence"},
                     {"normalizers", {{{"type", "NFKD"}}, {{"type", "NFC"}}}}};
  CHECK(Normalizer::from_json(both, "t").normalize("ﬁ\u212B", buffer) == "fi\u00C5");
  CHECK(message_of<NotBuiltError>([] {
          Normalizer::from_json({{"type", "Lowercase"}}, "t");
        }).find("'Lowercase'") != std::string::npos);
}

}  // namespace polygraft::tokenizer
