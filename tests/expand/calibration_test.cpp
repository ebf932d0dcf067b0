// tests/expand/calibration_test.cpp: several texts read together, one layer's features at a time,
// are what each text gives alone.
#include "expand/calibration.h"

#include <catch2/catch.hpp>
#include <map>

#include "core/random.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using expand::CalibrationFeatures;
using expand::LayerFeatures;
using expand::LayerPlan;
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
    const model::Transformer& transformer, const std::vector<std::vector<Sequence>>& texts) {
  const std::vector<LayerPlan> layers = {{1, {{2, 0.5}, {0, 0.1}}}, {2, {{5, 1.0}}}};
  ByLayer by_layer;
  const auto take = [&](const LayerPlan& layer, std::vector<LayerFeatures> seen) {
    CHECK((by_layer.empty() || by_layer.rbegin()->first < layer.layer));
    by_layer[layer.layer] = std::move(seen);
  };
  auto features = expand::collect_by_layer(transformer, texts, layers, take, "test");
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

}  // namespace polygraft::testing
