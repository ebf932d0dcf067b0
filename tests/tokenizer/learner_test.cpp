// tests/tokenizer/learner_test.cpp: learning merges, and training a tokenizer from nothing.
#include <catch2/catch.hpp>
#include <map>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/random.h"
#include "sample_tokenizer.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/merge_learner.h"
#include "tokenizer/tokenizer_json.h"

namespace polygraft::tokenizer {
namespace {

using Words = std::vector<std::pair<std::vector<TokenId>, int64_t>>;
using Pair = std::pair<TokenId, TokenId>;

/// The most frequent pair by counting everything anew, ties to the smaller ids.
std::optional<MergeLearner::Candidate> most_frequent(const Words& words) {
  std::map<Pair, int64_t> counts;
  for (const auto& [symbols, count] : words) {
    for (size_t i = 0; i + 1 < symbols.size(); ++i) counts[{symbols[i], symbols[i + 1]}] += count;
  }
  std::optional<MergeLearner::Candidate> best;
  for (const auto& [pair, count] : counts) {
    if (!best || count > best->count) best = {count, pair.first, pair.second};
  }
  return best;
}

void merge_everywhere(Words& words, Pair pair, TokenId merged) {
  for (auto& [symbols, count] : words) {
    std::vector<TokenId> result;
    for (size_t i = 0; i < symbols.size(); ++i) {
      const bool found = i + 1 < symbols.size() && Pair{symbols[i], symbols[i + 1]} == pair;
      result.push_back(found ? merged : symbols[i]);
      i += found ? 1 : 0;
    }
    symbols = result;
  }
}

std::string some_text() {
  std::string text;
  RandomStream random(3, "text");
  for (int line = 0; line < 300; ++line) {
    for (int word = 0; word < 8; ++word) {
      text += word > 0 ? " " : "";
      for (uint64_t i = 0, length = 2 + random.below(6); i < length; ++i) {
        text += "aeinrst"[random.below(7)];
      }
    }
    text += "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("incremental counts agree with counting anew", "[tokenizer][property]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random(seed, "words");
    Words words;
    MergeLearner learner;
    for (int i = 0; i < 40; ++i) {
      std::vector<TokenId> symbols(1 + random.below(12));
      for (TokenId& symbol : symbols) symbol = static_cast<TokenId>(random.below(3));
      words.emplace_back(symbols, 1 + static_cast<int64_t>(random.below(4)));
      learner.add_word(symbols, words.back().second);
    }
    for (TokenId merged = 3;; ++merged) {
      const auto expected = most_frequent(words);
      const auto found = learner.next();
      REQUIRE(found.has_value() == expected.has_value());
      if (!found) break;
      REQUIRE(found->count == expected->count);
      REQUIRE(found->left == expected->left);
      REQUIRE(found->right == expected->right);
      merge_everywhere(words, {found->left, found->right}, merged);
      learner.merge(found->left, found->right, merged);
    }
  }
}

TEST_CASE("a pair that is not merged is not offered again", "[tokenizer]") {
  MergeLearner learner;
  learner.add_word(std::vector<TokenId>{1, 2, 3}, 5);
  CHECK(learner.next()->left == 1);  // (1, 2) and (2, 3) are equally frequent
  CHECK(learner.next()->left == 2);
  CHECK_FALSE(learner.next().has_value());
}

TEST_CASE("training gives the size asked for, twice the same", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto text =
      folder.write("a.txt", some_text() + "12345 \u00E9\u00E8 \xF0\x9F\x99\x82 it's\n");
  for (const char* pattern : {"gpt2", "qwen2", "llama3"}) {
    TrainOptions options;
    options.vocab_size = 400;
    options.pattern = pattern;
    train_tokenizer({text}, options, folder.path() / "one");
    train_tokenizer({text}, options, folder.path() / "two");
    CHECK(read_file(folder.path() / "one/tokenizer.json") ==
          read_file(folder.path() / "two/tokenizer.json"));
    const Tokenizer tokenizer = Tokenizer::load(folder.path() / "one");
    CHECK(tokenizer.size() == 400);
    CHECK(tokenizer.bos_id() == 0);
    CHECK(tokenizer.eos_id() == 1);
    CHECK(tokenizer.is_special(0));
    const std::string sample = "tin rat\r\n  it's 12345\u00E9 \xF0\x9F\x99\x82<|eos|>";
    CHECK(tokenizer.decode(tokenizer.encode(sample)) == sample);
    CHECK(tokenizer.encode("rate").size() < 4);
    for (TokenId id = 0; id < tokenizer.size(); ++id) CHECK_FALSE(tokenizer.token(id).empty());
  }
}

TEST_CASE("training refuses what it cannot do", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto text = folder.write("a.txt", "ab abcd\n");
  TrainOptions options;
  options.vocab_size = 300;
  const auto train = [&] { train_tokenizer({text}, options, folder.path() / "out"); };
  CHECK_THROWS_WITH(train(), Catch::Contains("used up"));
  options.vocab_size = 257;
  CHECK_THROWS_AS(train(), ConfigError);
  options.vocab_size = 260;
  options.pattern = "gpt5";
  CHECK_THROWS_AS(train(), ConfigError);
  options.pattern = "gpt2";
  options.bos_token = "";
  CHECK_THROWS_AS(train(), ConfigError);
  CHECK_FALSE(fs::exists(folder.path() / "out"));
  options.bos_token = options.eos_token;  // one token may serve as both
  train();
  const Tokenizer tokenizer = Tokenizer::load(folder.path() / "out");
  CHECK(tokenizer.bos_id() == tokenizer.eos_id());
  CHECK(tokenizer.size() == 260);
}

TEST_CASE("what is learned does not depend on the number of threads", "[tokenizer][property]") {
  const TemporaryFolder folder;
  RandomStream random(31, "text");
  std::string text;
  for (int line = 0; line < 4000; ++line) {
    for (int word = 0; word < 20; ++word) {
      for (size_t letter = 1 + random.below(8); letter > 0; --letter) {
        text += static_cast<char>('a' + random.below(6));
      }
      text += ' ';
    }
    text += '\n';
  }
  const fs::path file = folder.write("text.txt", text);
  std::vector<std::string> results;
  for (const int num_threads : {1, 2, 5}) {
    set_default_num_threads(num_threads);
    train_tokenizer({file}, {.vocab_size = 600, .pattern = "qwen2"}, folder.path() / "out");
    results.push_back(read_file(folder.path() / "out/tokenizer.json"));
  }
  set_default_num_threads(0);
  CHECK(results[1] == results[0]);
  CHECK(results[2] == results[0]);
}

}  // namespace polygraft::tokenizer
