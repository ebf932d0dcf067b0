// tests/tokenizer/linear_time_test.cpp: a word ten times as long takes about ten times as long.
#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>

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

/// Seconds of processor time.
double seconds_to_encode(const Tokenizer& tokenizer, size_t length) {
  const std::string text = long_word(length);
  const std::clock_t start = std::clock();
  const auto ids = tokenizer.encode(text);
  const auto ticks = static_cast<double>(std::clock() - start);
  REQUIRE(ids.size() > text.size() / 20);
  REQUIRE(ids.size() < text.size());
  return ticks / CLOCKS_PER_SEC;
}

/// @param most_seconds for ten times `length`: several times what was measured on a busy machine.
void require_linear(const Tokenizer& tokenizer, size_t length, double most_seconds) {
#ifdef __SANITIZE_ADDRESS__
  length /= 10;
#endif
  const double one = std::min(seconds_to_encode(tokenizer, length),
                              seconds_to_encode(tokenizer, length)),
               ten = seconds_to_encode(tokenizer, 10 * length);
  WARN(length / 1000 << " kB " << one << " s, ten times as much " << ten << " s");
  CHECK(ten < 40 * one);  // linear 10, with caches that no longer hold it 13 to 20, quadratic 100
  CHECK(ten < most_seconds);
}

}  // namespace

TEST_CASE("byte-level BPE takes ten times as long for a word ten times as long", "[tokenizer]") {
  require_linear(load_json(sample_json(kMerges)), 1'000'000, 10);
}

TEST_CASE("a text that nothing cuts takes ten times as long for ten times the length",
          "[tokenizer]") {
  require_linear(load_json(character_json({"\u2581", "a", "b", "c"}, kMerges)), 1'000'000, 10);
}

TEST_CASE("SentencePiece BPE takes ten times as long for a word ten times as long", "[tokenizer]") {
  std::vector<std::string> pieces;
  for (std::string merge : kMerges) pieces.push_back(merge.erase(merge.find(' '), 1));
  pieces.insert(pieces.end(), {"\u2581", "a", "b", "c"});
  const TemporaryFolder folder;
  require_linear(Tokenizer::load(folder.write("tokenizer.model", sample_model(pieces))), 300'000,
                 30);
}

}  // namespace polygraft::tokenizer
