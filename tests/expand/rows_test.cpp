// tests/expand/rows_test.cpp: clones of experts, and start values of vocabulary rows.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "expand/expert_clones.h"
#include "expand/merge_list.h"
#include "expand/vocabulary_rows.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using Catch::Contains;
using namespace expand;  // NOLINT: the folder under test

namespace {

constexpr int64_t kWidth = 32, kExpertWidth = 40;

at::Tensor random_matrix(int64_t rows, int64_t columns, double mean, double deviation) {
  RandomStream random(4, "matrix " + std::to_string(rows) + "x" + std::to_string(columns));
  at::Tensor tensor = at::empty({rows, columns}, at::kFloat);
  float* const values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    values[i] = static_cast<float>(mean + deviation * random.normal());
  }
  return tensor;
}

Expert donor() {
  return {at::cat({random_matrix(kExpertWidth, kWidth, 1.0, 0.5),
                   random_matrix(kExpertWidth, kWidth, -2.0, 0.1)}),
          random_matrix(kWidth, kExpertWidth, 3.0, 0.2)};
}

/// Which units of a clone differ from the donor's, seen in gate rows, up rows and down columns.
struct Changed {
  at::Tensor gate_F, up_F, down_F;
  Changed(const Expert& clone, const Expert& original) {
    const at::Tensor rows_G = (clone.gate_up_GD != original.gate_up_GD).any(1);
    gate_F = rows_G.narrow(0, 0, kExpertWidth);
    up_F = rows_G.narrow(0, kExpertWidth, kExpertWidth);
    down_F = (clone.down_DF != original.down_DF).any(0);
  }
};

}  // namespace

TEST_CASE("a clone redraws the same units in gate, up and down, and no others",
          "[expand][property]") {
  const Expert original = donor();
  const Expert clone = clone_expert(original, 0.5, RandomStream(17, "layers.3.expert.2"));
  const Changed changed(clone, original);
  CHECK(changed.gate_F.sum().item<int64_t>() == kExpertWidth / 2);
  CHECK(at::equal(changed.gate_F, changed.up_F));
  CHECK(at::equal(changed.gate_F, changed.down_F));
  // Each matrix keeps the statistics of what was dropped: gate near 1, up near -2, down near 3.
  const at::Tensor units = at::nonzero(changed.gate_F).squeeze(1);
  const at::Tensor gate = clone.gate_up_GD.index_select(0, units);
  const at::Tensor up = clone.gate_up_GD.index_select(0, units + kExpertWidth);
  const at::Tensor down = clone.down_DF.index_select(1, units);
  CHECK(gate.mean().item<double>() == Approx(1.0).margin(0.1));
  const at::Tensor dropped = original.gate_up_GD.index_select(0, units);
  CHECK(gate.std().item<double>() == Approx(dropped.std().item<double>()).margin(0.05));
  CHECK(up.mean().item<double>() == Approx(-2.0).margin(0.02));
  CHECK(up.std().item<double>() == Approx(0.1).margin(0.01));
  CHECK(down.mean().item<double>() == Approx(3.0).margin(0.04));
  CHECK(same_bits(original.gate_up_GD, donor().gate_up_GD));
}

TEST_CASE("a clone is a function of its stream", "[expand]") {
  const Expert original = donor();
  const Expert one = clone_expert(original, 0.3, RandomStream(17, "layers.3.expert.2"));
  const Expert same = clone_expert(original, 0.3, RandomStream(17, "layers.3.expert.2"));
  const Expert other = clone_expert(original, 0.3, RandomStream(17, "layers.3.expert.3"));
  CHECK(same_bits(one.gate_up_GD, same.gate_up_GD));
  CHECK(same_bits(one.down_DF, same.down_DF));
  CHECK_FALSE(same_bits(one.down_DF, other.down_DF));
}

TEST_CASE("the re-initialised share may be nothing or everything", "[expand]") {
  const Expert original = donor();
  const Expert copy = clone_expert(original, 0, RandomStream(1, "a"));
  CHECK(same_bits(copy.gate_up_GD, original.gate_up_GD));
  CHECK_FALSE(copy.gate_up_GD.is_alias_of(original.gate_up_GD));
  const Expert all = clone_expert(original, 1, RandomStream(1, "a"));
  CHECK(Changed(all, original).down_F.all().item<bool>());
}

TEST_CASE("means over the tokens that a new token replaces", "[expand]") {
  const at::Tensor rows_VD = at::arange(12, at::kFloat).reshape({4, 3});
  const at::Tensor means_vD = mean_rows(rows_VD, {{0, 2}, {3}, {1, 1, 3}});
  CHECK(at::equal(means_vD[0], at::tensor({3.F, 4.F, 5.F})));
  CHECK(at::equal(means_vD[1], rows_VD[3]));
  CHECK(at::allclose(means_vD[2], at::tensor({5.F, 6.F, 7.F})));
}

TEST_CASE("merges are read in both spellings, and nothing else", "[expand]") {
  const Json both{{"model", {{"merges", {"a b", Json::array({"ab", "c"})}}}}};
  const std::vector<MergePair> merges = read_merges(both, "tokenizer.json");
  REQUIRE(merges.size() == 2);
  CHECK(merges[0] == MergePair("a", "b"));
  CHECK(merges[1] == MergePair("ab", "c"));
  const Json broken{{"model", {{"merges", {"ab"}}}}};
  CHECK_THROWS_WITH(read_merges(broken, "tokenizer.json"), Contains("no pair"));
}

}  // namespace polygraft::testing
