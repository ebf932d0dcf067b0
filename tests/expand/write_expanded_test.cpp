// tests/expand/write_expanded_test.cpp: what is written is the base, bit for bit, and the
// additions, rounded.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/additions.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using Catch::Contains;
using expand::Additions;
using model::ExpertLayout;
using model::Mask;
using model::ModelFolder;
using model::Transformer;

namespace {

struct Case {
  TinyModel base;
  bool untie_head;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const ExpertLayout layout : {ExpertLayout::kPerExpert, ExpertLayout::kFused}) {
    for (const char* dtype : {"bfloat16", "float16", "float32", "mixed"}) {
      cases.push_back({{layout, true, dtype}, true});
      cases.push_back({{layout, true, dtype}, false});
      cases.push_back({{layout, false, dtype}, false});
    }
  }
  return cases;
}

/// To the base's dtype; a mixed base's routers and down projections are float32.
Additions rounded(const Additions& additions, const ModelFolder& base, bool mixed) {
  Additions result;
  for (const auto& [name, tensor] : additions) {
    const bool wide = mixed && (name.find("router") != std::string::npos ||
                                name.find("down") != std::string::npos);
    const auto dtype = wide ? at::kFloat : model::to_scalar_type(base.config.dtype);
    result[name] = tensor.to(dtype).to(at::kFloat);
  }
  return result;
}

void require_same(const Additions& actual, const Additions& expected) {
  REQUIRE(actual.size() == expected.size());
  for (const auto& [name, tensor] : expected) {
    INFO(name);
    REQUIRE(actual.count(name) == 1);
    CHECK(same_bits(actual.at(name), tensor));
  }
}

/// A base, and the base with 3 experts and 5 rows, in folders of their own.
struct Pair {
  TemporaryFolder folder;
  Additions additions;
  Pair(const TinyModel& tiny, bool untie_head) {
    write_tiny_base(tiny, folder / "base");
    const ModelFolder base = open_base();
    additions = random_additions(base.config, 3, 5, untie_head || !tiny.tied);
    const std::string hash =
        expand::write_expanded(base, additions, describe(base, 3, 5, untie_head), folder / "out");
    CHECK(hash == model::hash_tensors(base.tensors));
  }
  ModelFolder open_base() const { return ModelFolder::open(folder / "base"); }
  ModelFolder open() const { return ModelFolder::open(folder / "out"); }
};

}  // namespace

TEST_CASE("an expanded folder gives its additions back and masks to its base",
          "[expand][property]") {
  for (const Case& one : all_cases()) {
    INFO("fused " << (one.base.layout == ExpertLayout::kFused) << ", tied " << one.base.tied
                  << ", untie " << one.untie_head << ", " << one.base.dtype);
    const Pair pair(one.base, one.untie_head);
    const ModelFolder base = pair.open_base(), expanded = pair.open();
    CHECK(expanded.layout == one.base.layout);
    CHECK(expanded.num_added_experts() == 3);
    CHECK(expanded.num_added_vocab_rows() == 5);
    CHECK(expanded.config.tied_embeddings == (one.base.tied && !one.untie_head));
    const Transformer before = Transformer::load(base), after = Transformer::load(expanded);
    require_same(expand::get_additions(after.weights()),
                 rounded(pair.additions, base, one.base.dtype == "mixed"));
    const at::Tensor base_logits_TV = probe_logits(before, {});
    CHECK(same_bits(probe_logits(after, Mask::all()), base_logits_TV));
    const at::Tensor free_logits_TV = probe_logits(after, {});
    REQUIRE(free_logits_TV.size(1) == base_logits_TV.size(1) + 5);
    CHECK_FALSE(same_bits(free_logits_TV.narrow(1, 0, 96), base_logits_TV));
  }
}

TEST_CASE("old bytes are copied and config.json changes only where it must", "[expand]") {
  const Pair pair({ExpertLayout::kFused, true, "bfloat16"}, true);
  const ModelFolder base = pair.open_base(), expanded = pair.open();
  for (const std::string& name : base.tensors.names()) {
    const std::string_view old_bytes = base.tensors.get(name).bytes;
    CHECK(expanded.tensors.get(name).bytes.substr(0, old_bytes.size()) == old_bytes);
  }
  const std::string_view embedding = base.tensors.get("model.embed_tokens.weight").bytes;
  CHECK(expanded.tensors.get("lm_head.weight").bytes.substr(0, embedding.size()) == embedding);
  OrderedJson expected = *base.config_json;
  expected["num_experts"] = 9;
  expected["vocab_size"] = 101;
  expected["tie_word_embeddings"] = false;
  CHECK(expanded.config_json->dump() == expected.dump());
  CHECK(read_file(pair.folder / "out" / "generation_config.json") ==
        read_file(pair.folder / "base" / "generation_config.json"));
}

TEST_CASE("additions of an expanded model are replaced", "[expand]") {
  for (const ExpertLayout layout : {ExpertLayout::kPerExpert, ExpertLayout::kFused}) {
    const Pair pair({layout, true, "float32"}, true);
    const ModelFolder base = pair.open_base();
    const Additions other = random_additions(base.config, 2, 7, true, 99);
    const std::string hash = expand::write_expanded(pair.open(), other, describe(base, 2, 7, true),
                                                    pair.folder / "other");
    CHECK(hash == model::hash_tensors(base.tensors));
    expand::write_expanded(base, other, describe(base, 2, 7, true), pair.folder / "direct");
    CHECK(hash_folder(pair.folder / "other") == hash_folder(pair.folder / "direct"));
    CHECK(hash_folder(pair.folder / "other") != hash_folder(pair.folder / "out"));
  }
}

TEST_CASE("narrow dtypes round to nearest, ties to even", "[expand]") {
  const TemporaryFolder folder;
  write_tiny_base({ExpertLayout::kFused, true, "bfloat16"}, folder / "base");
  const ModelFolder base = ModelFolder::open(folder / "base");
  Additions additions = random_additions(base.config, 1, 2, false);
  // bf16 has 7 fraction bits: 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3*2^-8 between odd and
  // even.
  additions["embedding.added"].fill_(1.0F + 1.0F / 256);
  additions["embedding.added"][1].fill_(1.0F + 3.0F / 256);
  expand::write_expanded(base, additions, describe(base, 1, 2, false), folder / "out");
  const auto weights = model::load_weights(ModelFolder::open(folder / "out"), at::kFloat);
  CHECK(weights.embedding.added[0][0].item<float>() == 1.0F);
  CHECK(weights.embedding.added[1][0].item<float>() == 1.0F + 4.0F / 256);
}

TEST_CASE("additions go into weights and come out again", "[expand]") {
  const TemporaryFolder folder;
  write_tiny_base({ExpertLayout::kPerExpert, true, "float32"}, folder / "base");
  const ModelFolder base = ModelFolder::open(folder / "base");
  model::Weights weights = model::load_weights(base, at::kFloat);
  const Additions tied = random_additions(base.config, 2, 4, false);
  expand::set_additions(weights, tied);
  require_same(expand::get_additions(weights), tied);
  CHECK(weights.tied);
  CHECK(weights.head.added.is_same(weights.embedding.added));

  const Additions untied = random_additions(base.config, 2, 4, true, 8);
  expand::set_additions(weights, untied);
  require_same(expand::get_additions(weights), untied);
  CHECK_FALSE(weights.tied);
  CHECK(weights.head.base.is_same(weights.embedding.base));

  Additions copy = expand::get_additions(weights);
  copy["embedding.added"].zero_();
  CHECK(weights.embedding.added.abs().sum().item<float>() > 0);
}

TEST_CASE("additions that do not fit are refused by name", "[expand]") {
  const TemporaryFolder folder;
  write_tiny_base({ExpertLayout::kFused, true, "float32"}, folder / "base");
  const ModelFolder base = ModelFolder::open(folder / "base");
  const auto write = [&](const Additions& additions, bool untie, int64_t experts = 2) {
    expand::write_expanded(base, additions, describe(base, experts, 4, untie), folder / "out");
  };
  const Additions good = random_additions(base.config, 2, 4, true);

  Additions wrong_width = good;
  wrong_width["layers.2.moe.router.added"] = at::zeros({2, 17});
  CHECK_THROWS_WITH(write(wrong_width, true),
                    Contains("layers.2.moe.router.added") && Contains("[2, 17]"));
  Additions dense_layer = good;
  dense_layer["layers.0.moe.router.added"] = at::zeros({2, 16});
  CHECK_THROWS_WITH(write(dense_layer, true), Contains("layers.0.moe.router.added"));
  Additions uneven = good;
  uneven["layers.1.moe.down.added"] = at::zeros({3, 16, 8});
  CHECK_THROWS_WITH(write(uneven, true), Contains("disagree"));
  Additions missing = good;
  missing.erase("layers.1.moe.down.added");
  CHECK_THROWS_WITH(write(missing, true), Contains("layers.1.moe.down.added"));
  CHECK_THROWS_WITH(write(good, false), Contains("head.added") && Contains("tied"));
  CHECK_THROWS_WITH(write(random_additions(base.config, 2, 4, false), true),
                    Contains("untied head needs output rows"));
  CHECK_THROWS_WITH(write(good, true, 3), Contains("polygraft.json"));
}

}  // namespace polygraft::testing
