// tests/tokenizer/bpe_model_test.cpp
#include "tokenizer/bpe_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/json.h"
#include "core/random.h"
#include "sample_tokenizer.h"
#include "tests/core/stderr_capture.h"
#include "tokenizer/bpe_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

/// The definition, by looking at every pair again after every merge.
std::vector<TokenId> merge_plainly(const BpeModel& model, std::string_view piece) {
  std::vector<TokenId> ids;
  for (const char byte : piece) ids.push_back(model.parts().byte_ids[static_cast<uint8_t>(byte)]);
  while (true) {
    size_t best = 0;
    Merge best_merge;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const Merge merge = model.parts().merges.find(ids[i], ids[i + 1]);
      if (merge.rank < best_merge.rank) best = i, best_merge = merge;
    }
    if (!best_merge) return ids;
    ids[best] = best_merge.result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best) + 1);
  }
}

const std::vector<std::string> kMerges{"a b", "b a",  "ab a",  "a a",   "aa a",
                                       "c c", "ab c", "ba cc", "aba b", "aba aba"};

}  // namespace

TEST_CASE("the lowest rank is merged first, the leftmost of equals", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json({"b c", "a b", "a bc"}));
  CHECK(tokens_of(tokenizer, "abc") == Tokens{"abc"});
  CHECK(tokens_of(tokenizer, "abab") == Tokens{"ab", "ab"});
  CHECK(tokens_of(load_json(sample_json({"a a"})), "aaa") == Tokens{"aa", "a"});
}

TEST_CASE("short, long and cached pieces follow the definition", "[tokenizer][property]") {
  const Tokenizer tokenizer = load_json(sample_json(kMerges));
  const BpeModel& model = bpe_of(tokenizer).model;
  RandomStream random(11, "pieces");
  for (int round = 0; round < 600; ++round) {
    std::string piece;
    const size_t length = 1 + random.below(round % 3 == 0 ? 150 : 30);  // both tables, and beyond
    for (size_t i = 0; i < length; ++i) piece += static_cast<char>('a' + random.below(3));
    const auto expected = merge_plainly(model, piece);
    for (int repeat = 0; repeat < 2; ++repeat) {  // the second time out of the cache
      std::vector<TokenId> ids{7};                // what is there already stays
      model.encode_piece(piece, ids);
      REQUIRE(std::vector<TokenId>(ids.begin() + 1, ids.end()) == expected);
      REQUIRE(ids.front() == 7);
    }
  }
}

TEST_CASE("two tokenizers do not see each other's cached words", "[tokenizer]") {
  const Tokenizer one = load_json(sample_json({"a b"})), other = load_json(sample_json({"b a"}));
  for (int repeat = 0; repeat < 2; ++repeat) {
    CHECK(tokens_of(one, "aba") == Tokens{"ab", "a"});
    CHECK(tokens_of(other, "aba") == Tokens{"a", "ba"});
  }
}

TEST_CASE("a word of a megabyte takes well under a second", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json(kMerges));
  std::string text(1'000'000, 'a');
  for (size_t i = 0; i < text.size(); i += 3) text[i] = 'b';
  const auto start = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(text);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  CHECK(tokenizer.decode(ids) == text);
  CHECK(ids.size() < 500'000);
  CHECK(seconds.count() < 5.0);  // quadratic work would take minutes
}

TEST_CASE("threads share a tokenizer", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json(kMerges));
  const std::string text = "abc abacc aaa bab cc abaaba";
  const auto expected = tokenizer.encode(text);
  std::vector<std::vector<TokenId>> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) result = tokenizer.encode(text);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& result : results) CHECK(result == expected);
}

TEST_CASE("a batch is encoded as its texts are", "[tokenizer]") {
  const Tokenizer tokenizer = load_json(sample_json(kMerges));
  std::vector<std::string> texts;
  for (int i = 0; i < 50; ++i)
    texts.push_back("abc abacc " + std::string(static_cast<size_t>(i), 'a'));
  for (const int num_threads : {1, 3}) {
    const auto ids = tokenizer.encode_batch(texts, num_threads);
    REQUIRE(ids.size() == texts.size());
    for (size_t i = 0; i < texts.size(); ++i) CHECK(ids[i] == tokenizer.encode(texts[i]));
  }
  texts[20] = "\xFF";
  CHECK_THROWS_AS(tokenizer.encode_batch(texts, 2), FormatError);
}

TEST_CASE("ignore_merges takes a whole piece that is a token", "[tokenizer]") {
  Json json = sample_json({"a b"});
  json["model"]["vocab"]["abc"] = 257;
  json["model"]["ignore_merges"] = true;
  const Tokenizer tokenizer = load_json(json);
  CHECK(tokens_of(tokenizer, "abc") == Tokens{"abc"});
  CHECK(tokens_of(tokenizer, "abcc") == Tokens{"ab", "c", "c"});
  json["model"]["ignore_merges"] = false;
  CHECK(tokens_of(load_json(json), "abc") == Tokens{"ab", "c"});
}

TEST_CASE("a byte without a token is dropped or unknown, as in the reference", "[tokenizer]") {
  Json json = sample_json();
  json["model"]["vocab"].erase("z");
  CHECK(tokens_of(load_json(json), "azza") == Tokens{"a", "a"});
  json["model"]["vocab"]["<unk>"] = 300;
  json["model"]["unk_token"] = "<unk>";
  CHECK(tokens_of(load_json(json), "azza") == Tokens{"a", "<unk>", "<unk>", "a"});
  json["model"]["fuse_unk"] = true;
  CHECK(tokens_of(load_json(json), "azza") == Tokens{"a", "<unk>", "a"});
}

TEST_CASE("child: a tokenizer without a byte loaded twenty times", "[.child]") {
  Json json = sample_json();
  json["model"]["vocab"].erase("z");
  for (int i = 0; i < 20; ++i) load_json(json);
  json["model"]["vocab"].erase("y");
  load_json(json);
}

TEST_CASE("bytes that will be dropped are named, once a process", "[tokenizer]") {
  using testing::StderrKind;
  const std::string text = testing::stderr_of_test(
      "child: a tokenizer without a byte loaded twenty times", StderrKind::kPipe);
  INFO(text);
  CHECK(std::count(text.begin(), text.end(), '\n') == 2);
  CHECK(text.find("the bytes 0x7A of UTF-8, which have no token, are left out") != text.npos);
  CHECK(text.find("the bytes 0x79 0x7A of UTF-8") != text.npos);
}

}  // namespace polygraft::tokenizer
