// tests/expand/calibration_test.cpp: several texts read together, one layer's features at a time,
// are what each text gives alone.
#include "expand/calibration.h"

#include <catch2/catch.hpp>
#include <map>
#include <tuple>

#include "core/random.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"
#include "tests/model/parallel/in_process.h"

namespace polygraft::testing {

using expand::CalibrationFeatures;
using expand::LayerFeatures;
using expand::LayerPlan;
using expand::LayerView;
using expand::Sequence;

namespace {

/// Enough for several batches a text.
std::vector<Sequence> random_sequences(int64_t num_sequences, const std::string& purpose) {
  RandomStream stream(1, purpose);
  std::vector<Sequence> sequences;
  for (int64_t i = 0; i < num_sequences; ++i) {
    Sequence sequence(40 + stream.below(20));
    for (auto& id : sequence) id = static_cast<tokenizer::TokenId>(stream.below(96));
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

using ByLayer = std::map<int64_t, std::vector<LayerFeatures>>;

std::pair<std::vector<CalibrationFeatures>, ByLayer> collect(
    const model::Transformer& transformer, const std::vector<std::vector<Sequence>>& texts,
    const parallel::Team& team = {}) {
  const std::vector<LayerPlan> layers = {{1, {{2, 0.5}, {0, 0.1}}}, {2, {{5, 1.0}}}};
  ByLayer by_layer;
  const auto take = [&](std::vector<LayerView> seen) {
    for (LayerView& view : seen) {
      if (view.rank == team.rank()) by_layer[view.plan->layer] = std::move(view.texts);
    }
  };
  auto features = expand::collect_by_layer(transformer, texts, layers, take, "test", team);
  return {std::move(features), std::move(by_layer)};
}

}  // namespace

TEST_CASE("texts read together give what each gives alone, bit for bit", "[expand]") {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.renormalize = false;
  write_tiny_base(tiny, folder / "base");
  const auto transformer = model::Transformer::load(model::ModelFolder::open(folder / "base"));
  const auto old_text = random_sequences(200, "old"), new_text = random_sequences(100, "new");
  const auto [together, layers] = collect(transformer, {old_text, new_text});
  const std::vector<std::vector<Sequence>> alone = {old_text, new_text};
  REQUIRE(together.size() == 2);
  REQUIRE(layers.size() == 2);
  for (size_t text = 0; text < 2; ++text) {
    const auto [features, own_layers] = collect(transformer, {alone[text]});
    CHECK(same_bits(features[0].hidden_TD, together[text].hidden_TD));
    CHECK(same_bits(expand::collect_features(transformer, alone[text], "test").hidden_TD,
                    together[text].hidden_TD));
    CHECK(at::equal(features[0].first_T, together[text].first_T));
    CHECK(together[text].first_T.sum().item<int64_t>() == static_cast<int64_t>(alone[text].size()));
    for (const auto& [layer, seen] : layers) {
      const LayerFeatures& own = own_layers.at(layer).at(0);
      REQUIRE(seen.size() == 2);
      CHECK(same_bits(own.input_TD, seen[text].input_TD));
      CHECK(same_bits(own.threshold_T, seen[text].threshold_T));
      CHECK(same_bits(own.donor_Tn, seen[text].donor_Tn));
      CHECK(same_bits(own.log_normalizer_T, seen[text].log_normalizer_T));
      CHECK(seen[text].donor_Tn.size(1) == (layer == 1 ? 2 : 1));
      CHECK(at::equal(seen[text].first_T, together[text].first_T));
    }
  }
}

TEST_CASE("ranks have one layer each to fit, as one process sees it, and all hidden states",
          "[expand][parallel]") {
  const TemporaryFolder folder;
  write_tiny_base({}, folder / "base");
  const auto transformer = model::Transformer::load(model::ModelFolder::open(folder / "base"));
  const std::vector<std::vector<Sequence>> texts = {random_sequences(300, "old"),
                                                    random_sequences(150, "new")};
  const auto [expected, expected_layers] = collect(transformer, texts);
  std::vector<std::vector<CalibrationFeatures>> features(3);
  std::vector<ByLayer> layers(3);
  parallel::run_in_threads(3, parallel::Timeout(240000), [&](parallel::Communicator& world) {
    const auto rank = static_cast<size_t>(world.rank());
    std::tie(features[rank], layers[rank]) = collect(transformer, texts, parallel::Team(&world));
  });
  for (size_t rank = 0; rank < 3; ++rank) {
    for (size_t text = 0; text < 2; ++text)
      CHECK(same_bits(features[rank][text].hidden_TD, expected[text].hidden_TD));
    CHECK(layers[rank].size() == (rank < 2 ? 1 : 0));
    for (const auto& [layer, seen] : layers[rank]) {
      CHECK(layer == static_cast<int64_t>(rank) + 1);
      for (size_t text = 0; text < 2; ++text) {
        const LayerFeatures& one = expected_layers.at(layer)[text];
        CHECK(same_bits(seen[text].input_TD, one.input_TD));
        CHECK(same_bits(seen[text].threshold_T, one.threshold_T));
        CHECK(same_bits(seen[text].donor_Tn, one.donor_Tn));
        CHECK(same_bits(seen[text].log_normalizer_T, one.log_normalizer_T));
      }
    }
  }
}

}  // namespace polygraft::testing
