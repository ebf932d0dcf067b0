// tests/eval/generation_test.cpp: greedy and sampled continuations, and what ends them.
#include "eval/generation.h"

#include <algorithm>
#include <map>

#include "core/error.h"
#include "tests/core/temporary_folder.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/tiny_model.h"

namespace polygraft::testing {
namespace {

using eval::generate;
using eval::GenerationOptions;
using tokenizer::TokenId;
using Tokens = std::vector<TokenId>;

model::Transformer tiny_transformer(uint64_t seed) {
  const auto config = tiny_config();
  return {config, lively_weights(config, seed)};
}

/// Greedy without any cache: the whole sequence again for each token.
Tokens naive_greedy(const model::Transformer& transformer, Tokens tokens, int64_t count) {
  const size_t num_prompt = tokens.size();
  for (int64_t i = 0; i < count; ++i) {
    const std::vector<int64_t> ids(tokens.begin(), tokens.end());
    const model::Batch batch{at::tensor(ids, at::kLong), {static_cast<int64_t>(ids.size())}};
    const at::Tensor scores_TV = transformer.logits(transformer.hidden(batch));
    tokens.push_back(static_cast<TokenId>(scores_TV[-1].argmax().item<int64_t>()));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(num_prompt), tokens.end()};
}

}  // namespace

TEST_CASE("greedy tokens are those of the whole sequence computed anew", "[eval]") {
  const auto transformer = tiny_transformer(GENERATE(range<uint64_t>(1, 5)));
  const Tokens prompt = {3, 1, 4, 1, 5};
  GenerationOptions options;
  options.max_new_tokens = 20;
  REQUIRE(generate(transformer, prompt, {}, options).tokens ==
          naive_greedy(transformer, prompt, 20));
}

TEST_CASE("with all additions masked, an expanded model says what its base says",
          "[eval][property]") {
  const auto config = tiny_config();
  const auto weights = lively_weights(config, 3);
  const model::Transformer base(config, weights), expanded(config, grown(weights, 3, 5));
  GenerationOptions options;
  options.max_new_tokens = 30;
  options.temperature = GENERATE(0.0, 1.0);
  const auto expected = generate(base, {7, 2}, {}, options).tokens;
  REQUIRE(generate(expanded, {7, 2}, {}, options, model::Mask::all()).tokens == expected);
  REQUIRE(generate(expanded, {7, 2}, {}, options).tokens != expected);
}

TEST_CASE("sampling follows the seed and the scores", "[eval]") {
  const auto transformer = tiny_transformer(2);
  GenerationOptions options;
  options.max_new_tokens = 1;
  options.temperature = 1;
  const model::Batch batch{at::tensor({5, 6}, at::kLong), {2}};
  const at::Tensor mass_V =
      at::softmax(transformer.logits(transformer.hidden(batch))[-1].to(at::kDouble), 0);
  std::map<TokenId, int> counts;
  constexpr int kDraws = 4000;
  for (options.seed = 0; options.seed < kDraws; ++options.seed) {
    ++counts[generate(transformer, {5, 6}, {}, options).tokens.at(0)];
  }
  for (const auto& [token, count] : counts) {
    const double expected = mass_V[token].item<double>() * kDraws;
    REQUIRE(std::abs(count - expected) < 5 * std::sqrt(expected) + 5);
  }
  options.seed = 11;
  options.max_new_tokens = 20;
  const auto once = generate(transformer, {5, 6}, {}, options).tokens;
  REQUIRE(generate(transformer, {5, 6}, {}, options).tokens == once);
  options.top_p = 1e-9;  // the likeliest token alone is left
  const auto narrow = generate(transformer, {5, 6}, {}, options).tokens;
  REQUIRE(narrow == naive_greedy(transformer, {5, 6}, 20));
  REQUIRE(narrow != once);
}

TEST_CASE("texts written side by side are those written alone", "[eval]") {
  const auto transformer = tiny_transformer(3);
  std::vector<eval::GenerationRequest> requests;
  for (const Tokens& prompt : {Tokens{3}, Tokens{7, 2, 9}, Tokens{5, 6}, Tokens{3}}) {
    GenerationOptions options;
    options.max_new_tokens = 8 + static_cast<int64_t>(requests.size());
    options.temperature = requests.size() == 2 ? 0.0 : 1.0;
    options.seed = static_cast<int64_t>(requests.size());
    requests.push_back({prompt, options});
  }
  const auto end_token = generate(transformer, {7, 2, 9}, {}, requests[1].options).tokens.at(4);
  const auto together = eval::generate_all(transformer, requests, {{end_token}});
  REQUIRE(together.size() == requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone =
        generate(transformer, requests[i].prompt, {{end_token}}, requests[i].options);
    CHECK(together[i].tokens == alone.tokens);
    CHECK(together[i].ended == alone.ended);
  }
  CHECK(together[1].ended);
  CHECK(together[0].tokens != together[3].tokens);
  CHECK(eval::generate_all(transformer, {}, {}).empty());
}

TEST_CASE("a row that stands for no token is never chosen", "[eval]") {
  const auto transformer = tiny_transformer(2);
  GenerationOptions options;
  options.max_new_tokens = 8;
  options.temperature = GENERATE(0.0, 1.0);
  const Tokens no_token = generate(transformer, {5, 6}, {}, options).tokens;
  options.max_new_tokens = 200;
  const auto rest = generate(transformer, {5, 6}, {{}, no_token}, options).tokens;
  REQUIRE(rest.size() > 10);
  for (const TokenId id : rest)
    REQUIRE(std::find(no_token.begin(), no_token.end(), id) == no_token.end());
}

TEST_CASE("rows without a token are those beyond the tokenizer, and the base's own when masked",
          "[eval]") {
  const auto config = tiny_config();
  const TemporaryFolder folder;
  // Ids 0 to 4 but for a hole at 3.
  folder.write("tokenizer.json", R"({"version": "1.0", "added_tokens": [], "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"}, "post_processor": null,
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 4}, "merges": []}})");
  const auto tokenizer = tokenizer::Tokenizer::load(folder.path());
  const model::Transformer base(config, lively_weights(config, 3));
  const Tokens rows = eval::rows_without_token(base, tokenizer);
  REQUIRE(static_cast<int64_t>(rows.size()) == config.vocab_rows - 4);
  REQUIRE(rows[0] == 3);
  REQUIRE(rows[1] == 5);
  const model::Transformer expanded(config, grown(lively_weights(config, 3), 3, 5));
  REQUIRE(eval::rows_without_token(expanded, tokenizer, model::Mask::all()) == rows);
  REQUIRE(eval::rows_without_token(expanded, tokenizer).size() == rows.size() + 5);
}

TEST_CASE("an end token, the limit and the context end a text", "[eval]") {
  const auto transformer = tiny_transformer(1);
  GenerationOptions options;
  options.max_new_tokens = 10;
  const auto free = generate(transformer, {9}, {}, options);
  REQUIRE(free.tokens.size() == 10);
  REQUIRE_FALSE(free.ended);
  const auto ended = generate(transformer, {9}, {{free.tokens.at(0)}}, options);
  REQUIRE(ended.tokens.empty());
  REQUIRE(ended.ended);
  options.max_new_tokens = 1000;
  REQUIRE(generate(transformer, {9, 9, 9}, {}, options).tokens.size() == 61);  // 64 positions
  REQUIRE_THROWS_AS(generate(transformer, {}, {}, options), ConfigError);
  REQUIRE_THROWS_AS(generate(transformer, Tokens(64, 1), {}, options), ConfigError);
}

}  // namespace polygraft::testing
