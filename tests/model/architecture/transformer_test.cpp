// tests/model/architecture/transformer_test.cpp: what must hold for the whole model: masking,
// batching, permuting, errors. That its numbers are right is shown by the parity tests.
#include "model/architecture/transformer.h"

#include <ATen/Parallel.h>

#include <map>

#include "core/error.h"
#include "tests/model/architecture/compare.h"
#include "tests/model/architecture/large_allocations.h"
#include "tests/model/architecture/tiny_model.h"

namespace polygraft::testing {
namespace {

using model::Batch;
using model::Mask;
using model::Transformer;

at::Tensor logits(const Transformer& model, const Batch& batch, Mask mask = {}) {
  return model.logits(model.hidden(batch, mask), mask);
}

struct Pair {
  Transformer base, expanded;
};

Pair random_pair(uint64_t seed, bool tied, bool renormalize) {
  auto config = tiny_config();
  config.tied_embeddings = tied;
  config.renormalize_top_k = renormalize;
  const auto weights = lively_weights(config, seed);
  return {Transformer(config, weights), Transformer(config, grown(weights, 3, 5))};
}

}  // namespace

TEST_CASE("with all additions masked, the expanded model is the base, bit for bit",
          "[model][property]") {
  const auto seed = GENERATE(range<uint64_t>(1, 5));
  const auto [base, expanded] = random_pair(seed, GENERATE(true, false), GENERATE(true, false));
  const auto batch = random_batch({20, 20, 7, 1, 33}, 40);
  const auto expected = logits(base, batch);
  REQUIRE(bitwise_equal(expected, logits(expanded, batch, Mask::all())));
  REQUIRE_FALSE(at::allclose(expected, logits(expanded, batch).narrow(1, 0, 40)));
}

TEST_CASE("each mask switches off its own part", "[model][property]") {
  const auto [base, expanded] = random_pair(9, false, true);
  const auto batch = random_batch({30, 12}, 40);
  const auto expected = logits(base, batch);
  const auto experts_masked = logits(expanded, batch, {.experts = true});
  REQUIRE(experts_masked.size(1) == 45);
  REQUIRE(bitwise_equal(experts_masked.narrow(1, 0, 40).contiguous(), expected));
  const auto head_masked = logits(expanded, batch, {.head = true});
  REQUIRE(head_masked.size(1) == 40);
  REQUIRE_FALSE(at::allclose(head_masked, expected));
  const auto silent = logits(expanded, batch, {.head = true, .silence_experts = true});
  REQUIRE_FALSE(
      at::allclose(silent, expected));  // slots and weight are lost to experts that say nothing
  REQUIRE_FALSE(at::allclose(silent, head_masked));
}

TEST_CASE("an added expert that is never chosen changes no bit", "[model][property]") {
  auto config = tiny_config();
  config.renormalize_top_k = GENERATE(true, false);
  const auto weights = lively_weights(config, 3);
  weights.embedding.base.select(1, 0).fill_(30);  // every hidden state points along channel 0 ...
  const Transformer base(config, weights);
  const Transformer expanded(config, grown(weights, 3, 0));
  for (const auto& layer : expanded.weights().layers) {
    layer.moe.router.added.zero_().select(1, 0).fill_(
        -1e4);  // ... which the added experts score at -1e4 and less
  }
  const auto batch = random_batch({25, 25}, 40);
  const auto hidden = expanded.hidden(batch, {}, [](const model::RouterTap& tap) {
    REQUIRE((tap.routing.expert_TK < 6).all().item<bool>());
  });
  REQUIRE(bitwise_equal(hidden, base.hidden(batch)));
}

TEST_CASE("branches are computed as if each followed the trunk alone", "[model][property]") {
  auto config = tiny_config();
  config.layer_window = GENERATE(std::vector<int64_t>{}, std::vector<int64_t>{0, 4});
  const Transformer model(config, grown(lively_weights(config, 8), 3, 5));
  const std::vector<int64_t> branches = {4, 1, 7};
  const int64_t trunk = GENERATE(0, 6);
  auto batch = random_batch({5, trunk + 12, trunk + 12}, 40);
  batch.branches = {{}, branches, {}};
  const auto hidden_TD = model.hidden(batch);
  for (int64_t first = trunk; const int64_t length : branches) {
    const auto trunk_ids = batch.ids_T.narrow(0, 5, trunk);
    const auto branch_ids = batch.ids_T.narrow(0, 5 + first, length);
    const auto alone_LD = model.hidden({at::cat({trunk_ids, branch_ids}), {trunk + length}});
    require_close("trunk", hidden_TD.narrow(0, 5, trunk), alone_LD.narrow(0, 0, trunk), at::kFloat);
    require_close("branch", hidden_TD.narrow(0, 5 + first, length),
                  alone_LD.narrow(0, trunk, length), at::kFloat);
    first += length;
  }
  const auto last_ids = batch.ids_T.narrow(0, trunk + 17, trunk + 12);
  require_close("the sequence after it", hidden_TD.narrow(0, trunk + 17, trunk + 12),
                model.hidden({last_ids, {trunk + 12}}), at::kFloat);
}

TEST_CASE("permuting experts together with their router rows changes nothing",
          "[model][property]") {
  auto config = tiny_config();
  const auto weights = lively_weights(config, 4);
  auto permuted = weights;
  const auto order = at::tensor({4, 2, 0, 5, 1, 3}, at::kLong);
  for (auto& layer : permuted.layers) {
    layer.moe.router.base = layer.moe.router.base.index_select(0, order);
    layer.moe.gate_up.base = layer.moe.gate_up.base.index_select(0, order);
    layer.moe.down.base = layer.moe.down.base.index_select(0, order);
  }
  const auto batch = random_batch({40, 24}, 40);
  // Not bitwise: a product may round a column differently by its place among the others.
  require_close("logits", logits({config, permuted}, batch), logits({config, weights}, batch));
}

TEST_CASE("a sequence's logits do not depend on its neighbours in the batch", "[model]") {
  const auto model = random_pair(5, true, false).expanded;
  const auto batch = random_batch({9, 9, 21, 1, 30}, 45);
  const auto together = logits(model, batch);
  int64_t first = 0;
  for (const int64_t length : batch.lengths) {
    const auto alone = logits(model, {batch.ids_T.narrow(0, first, length), {length}});
    require_close("sequence", together.narrow(0, first, length), alone);
    first += length;
  }
}

TEST_CASE("a later token changes no earlier logits", "[model]") {
  const auto model = random_pair(6, true, true).expanded;
  auto batch = random_batch({24}, 45);
  const auto before = logits(model, batch);
  batch.ids_T[20] = (batch.ids_T[20].item<int64_t>() + 1) % 45;
  const auto after = logits(model, batch);
  require_close("prefix", after.narrow(0, 0, 20), before.narrow(0, 0, 20));
  REQUIRE_FALSE(at::allclose(after.narrow(0, 20, 4), before.narrow(0, 20, 4)));
}

TEST_CASE("two runs of forward and backward give the same bits", "[model]") {
  auto [base, expanded] = random_pair(7, false, true);
  expanded.weights().for_each_added(
      [](const std::string&, at::Tensor& tensor) { tensor.set_requires_grad(true); });
  const auto batch = random_batch({32, 32, 11}, 45);
  const auto run = [&] {
    expanded.weights().for_each_added(
        [](const std::string&, at::Tensor& tensor) { tensor.mutable_grad().reset(); });
    logits(expanded, batch).square().sum().backward();
    std::vector<at::Tensor> gradients;
    expanded.weights().for_each_added([&](const std::string&, at::Tensor& tensor) {
      gradients.push_back(tensor.grad().clone());
    });
    return gradients;
  };
  const auto first = run(), second = run();
  REQUIRE(first.size() == 8);
  for (size_t i = 0; i < first.size(); ++i) {
    REQUIRE(first[i].count_nonzero().item<int64_t>() > 0);
    REQUIRE(bitwise_equal(first[i], second[i]));
  }
}

TEST_CASE("a frozen tensor gets no gradient", "[model]") {
  auto model = random_pair(8, true, true).expanded;
  model.weights().for_each_added(
      [](const std::string&, at::Tensor& tensor) { tensor.set_requires_grad(true); });
  logits(model, random_batch({30}, 45)).sum().backward();
  model.weights().for_each([](const std::string& name, at::Tensor& tensor) {
    INFO(name);
    REQUIRE(tensor.grad().defined() == (name.find(".added") != std::string::npos));
  });
}

TEST_CASE("a batch that the model cannot take is refused", "[model]") {
  const auto model = random_pair(1, true, true).expanded;
  auto batch = random_batch({10, 6}, 45);
  REQUIRE_NOTHROW(model.hidden(batch));
  batch.ids_T[12] = 45;
  REQUIRE_THROWS_WITH(model.hidden(batch),
                      Catch::Contains("token 12 ") && Catch::Contains("0 to 44"));
  batch.ids_T[12] = -1;
  REQUIRE_THROWS_AS(model.hidden(batch), ConfigError);
  REQUIRE_THROWS_WITH(model.hidden(random_batch({65}, 45)), Catch::Contains("at most 64 tokens"));
}

TEST_CASE("the observer sees every MoE layer, inside the graph", "[model]") {
  auto config = tiny_config();
  config.layer_is_moe = {false, true};
  auto weights = grown(lively_weights(config, 2), 3, 0);
  weights.layers[1].moe.router.added.set_requires_grad(true);
  const Transformer model(config, weights);
  std::vector<model::RouterTap> taps;
  model.hidden(random_batch({10}, 40), {},
               [&](const model::RouterTap& tap) { taps.push_back(tap); });
  REQUIRE(taps.size() == 1);
  REQUIRE(taps[0].layer == 1);
  REQUIRE(taps[0].input_TD.sizes() == at::IntArrayRef({10, 16}));
  REQUIRE(taps[0].base_TE.sizes() == at::IntArrayRef({10, 6}));
  REQUIRE(taps[0].added_Tn.sizes() == at::IntArrayRef({10, 3}));
  REQUIRE(taps[0].added_Tn.requires_grad());
  REQUIRE(model.num_base_experts() == 6);
  REQUIRE(model.num_added_experts() == 3);
}

TEST_CASE("layer by layer over many batches gives each batch's own bits",
          "[model][transformer][property]") {
  const auto config = tiny_config();
  const model::Transformer transformer(config, grown(lively_weights(config, 5), 2, 0));
  const std::vector<model::Batch> batches = {random_batch({9, 4}, 40), random_batch({1}, 40),
                                             random_batch({17, 17, 3}, 40)};
  std::map<std::pair<size_t, int64_t>, at::Tensor> score_of;  // by batch and layer
  int64_t num_reports = 0;
  model::Transformer::Walk walk(transformer, batches, {});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    walk.run_layer(
        layer,
        [&](const model::RouterTap& tap) {
          score_of[{tap.batch, tap.layer}] = tap.base_TE;
        },
        [&](size_t) { ++num_reports; });
  }
  const auto together = walk.finish();
  REQUIRE(together.size() == batches.size());
  CHECK(num_reports == static_cast<int64_t>(batches.size()) * config.num_layers);
  for (size_t b = 0; b < batches.size(); ++b) {
    const auto alone = transformer.hidden(batches[b], {}, [&](const model::RouterTap& tap) {
      CHECK(bitwise_equal(score_of.at({b, tap.layer}), tap.base_TE));
    });
    CHECK(bitwise_equal(together[b], alone));
  }
}

TEST_CASE("a sequence continued piece by piece has the states of the whole", "[model]") {
  auto config = tiny_config();
  if (GENERATE(false, true)) config.layer_window = {0, 5};
  const Transformer model(config, grown(lively_weights(config, 4), 2, 3));
  const auto batch = random_batch({23}, 40);
  const auto whole_TD = model.hidden(batch);
  model::KeyValueCache cache;
  std::vector<at::Tensor> pieces;
  int64_t first = 0;
  for (const int64_t length : {7, 1, 1, 9, 5}) {
    pieces.push_back(model.hidden_next({batch.ids_T.narrow(0, first, length), {length}}, {&cache}));
    first += length;
  }
  REQUIRE(at::allclose(at::cat(pieces), whole_TD, 1e-4, 1e-5));
  REQUIRE_THROWS_AS(model.hidden_next({at::zeros({42}, at::kLong), {42}}, {&cache}), ConfigError);
}

TEST_CASE("sequences continued side by side each follow their own past", "[model]") {
  auto config = tiny_config();
  if (GENERATE(false, true)) config.layer_window = {0, 5};
  const Transformer model(config, grown(lively_weights(config, 4), 2, 3));
  const auto first = random_batch({9}, 40), second = random_batch({14}, 41);
  const auto piece_of = [](const model::Batch& batch, int64_t from, int64_t length) {
    return batch.ids_T.narrow(0, from, length);
  };
  model::KeyValueCache cache_a, cache_b;
  const auto start_TD = model.hidden_next(
      {at::cat({piece_of(first, 0, 3), piece_of(second, 0, 10)}), {3, 10}}, {&cache_a, &cache_b});
  const auto middle_TD = model.hidden_next(
      {at::cat({piece_of(first, 3, 4), piece_of(second, 10, 4)}), {4, 4}}, {&cache_a, &cache_b});
  const auto end_TD = model.hidden_next({piece_of(first, 7, 2), {2}}, {&cache_a});
  const auto states_a = at::cat({start_TD.narrow(0, 0, 3), middle_TD.narrow(0, 0, 4), end_TD});
  const auto states_b = at::cat({start_TD.narrow(0, 3, 10), middle_TD.narrow(0, 4, 4)});
  REQUIRE(at::allclose(states_a, model.hidden(first), 1e-4, 1e-5));
  REQUIRE(at::allclose(states_b, model.hidden(second), 1e-4, 1e-5));
}

TEST_CASE("what a sequence begins with takes no memory as large as its square", "[model]") {
  constexpr int64_t kLength = 1024;
  auto config = tiny_config();
  config.max_positions = kLength;
  const Transformer model(config, lively_weights(config, 4));
  const auto batch = random_batch({kLength}, 40);
  const auto whole_TD = model.hidden(batch);
  model::KeyValueCache cache;
  const int num_threads = at::get_num_threads();
  at::set_num_threads(1);  // each has memory of its own
  const LargeAllocations large(kLength * kLength);
  const auto cached_TD = model.hidden_next(batch, {&cache});
  at::set_num_threads(num_threads);
  CHECK(large.count() == 0);
  REQUIRE(at::allclose(cached_TD, whole_TD, 1e-4, 1e-5));
}

TEST_CASE("what a cache holds is moved when its memory doubles, not at every token", "[model]") {
  model::GrowingRows grown;
  std::vector<at::Tensor> pieces;
  const void* place = nullptr;
  int num_moves = 0;
  for (int i = 0; i < 1000; ++i) {
    pieces.push_back(random_tensor({1 + i % 2, 2, 3}));
    grown.append(pieces.back());
    num_moves += grown.rows().const_data_ptr() != place ? 1 : 0;
    place = grown.rows().const_data_ptr();
  }
  CHECK(bitwise_equal(grown.rows(), at::cat(pieces)));
  CHECK(num_moves <= 11);
}

}  // namespace polygraft::testing
