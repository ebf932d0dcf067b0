// tests/tokenizer/linear_time_test.cpp: doubled length takes about doubled time.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <ctime>

#include "core/json.h"
#include "core/random.h"
#include "core/text.h"
#include "sample_sentencepiece.h"
#include "sample_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

const std::vector<std::string> kMerges{"a b",  "b a",  "a a",   "ab c",    "ba c",
                                       "aa b", "c ab", "ab ab", "abab c",  "aab c",
                                       "c c",  "cc a", "b b",   "bb abab", "abc abc"};

/// One word: nothing in it that any pattern cuts at.
std::string long_word(size_t length) {
  RandomStream random(11, "word");
  std::string word(length, 'a');
  for (char& letter : word) letter = "aaabbc"[random.below(6)];
  return word;
}

/// Words, numbers, marks and line ends, as patterns cut them; accents, which a normaliser looks at.
std::string long_text(size_t length) {
  RandomStream random(12, "text");
  std::string text;
  while (text.size() < length) {
    text += long_word(1 + random.below(9));
    text += std::vector<std::string>{
        " ", " ", ", ", ".\n", " 2024 ", "  ", "\u00e9 ", "<x>"}[random.below(8)];
  }
  return text;
}

/// Seconds of processor time.
double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const std::clock_t start = std::clock();
  const auto ids = tokenizer.encode(text);
  const auto ticks = static_cast<double>(std::clock() - start);
  REQUIRE(ids.size() > text.size() / 20);
  REQUIRE(ids.size() < text.size());
  return ticks / CLOCKS_PER_SEC;
}

/// @param most_seconds for ten times `length`: several times what was measured on a busy machine.
void require_linear(const Tokenizer& tokenizer, size_t length, double most_seconds,
                    std::string (*make)(size_t) = long_word) {
#ifdef __SANITIZE_ADDRESS__
  length /= 10;
#endif
  const std::string shorter = make(length), longer = make(10 * length);
  const double one = std::min(seconds_to_encode(tokenizer, shorter),
                              seconds_to_encode(tokenizer, shorter)),
               ten = seconds_to_encode(tokenizer, longer);
  const double doubled = std::pow(ten / one, 1 / std::log2(10.0));  // the mean of 3.3 doublings
  WARN(length / 1000 << " kB " << one << " s, ten times as much " << ten
                     << " s; doubled length takes " << doubled << " times as long");
  CHECK(doubled < 3);  // linear 2, with caches that no longer hold it up to 2.5, quadratic 4
  CHECK(ten < most_seconds);
}

}  // namespace

TEST_CASE("a text of doubled length takes about doubled time", "[tokenizer]") {
  Json json = sample_json(kMerges);
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = {added_token_json(static_cast<int>(256 + kMerges.size()), "<x>")};
  require_linear(load_json(json), 1'000'000, 10, long_text);
}

TEST_CASE("byte-level BPE takes doubled time for a word of doubled length", "[tokenizer]") {
  require_linear(load_json(sample_json(kMerges)), 1'000'000, 10);
}

TEST_CASE("a text that nothing cuts takes doubled time for doubled length", "[tokenizer]") {
  require_linear(load_json(character_json({"\u2581", "a", "b", "c"}, kMerges)), 1'000'000, 10);
}

TEST_CASE("SentencePiece BPE takes doubled time for a word of doubled length", "[tokenizer]") {
  std::vector<std::string> pieces;
  for (std::string merge : kMerges) pieces.push_back(merge.erase(merge.find(' '), 1));
  pieces.insert(pieces.end(), {"\u2581", "a", "b", "c"});
  const TemporaryFolder folder;
  require_linear(Tokenizer::load(folder.write("tokenizer.model", sample_model(pieces))), 300'000,
                 30);
}

}  // namespace polygraft::tokenizer
