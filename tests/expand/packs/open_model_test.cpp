// tests/expand/packs/open_model_test.cpp: packs in memory compute what the written sum computes.
#include "expand/packs/open_model.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/json.h"
#include "expand/profile.h"
#include "expand/verify.h"
#include "tests/expand/language_world.h"
#include "tests/expand/packs/pack_world.h"

namespace polygraft::testing {

using Catch::Contains;
using model::Mask;
using model::ModelFolder;

namespace {

expand::OpenModel open(const fs::path& model, const std::vector<fs::path>& packs,
                       std::optional<std::string> without = {}) {
  return expand::open_model(ModelFolder::open(model), {packs, std::move(without), {}});
}

void require_same(const expand::OpenModel& a, const expand::OpenModel& b) {
  CHECK(same_bits(probe_logits(a.transformer, {}), probe_logits(b.transformer, {})));
  CHECK(same_bits(probe_logits(a.transformer, Mask::all()),
                  probe_logits(b.transformer, Mask::all())));
  CHECK(a.tokenizer.hash() == b.tokenizer.hash());
}

}  // namespace

TEST_CASE("packs in memory are the written sum, bit for bit", "[expand][packs][property]") {
  for (const bool tied : {true, false}) {
    PackWorld world({model::ExpertLayout::kPerExpert, tied, "bfloat16"});
    const fs::path cc = world.pack("cc"), dd = world.pack("dd"), ee = world.pack("ee", 1, false);
    const fs::path both = world.folder / "both";
    expand::attach_packs(ModelFolder::open(world.base), {cc, dd}, {}, both);
    require_same(open(world.base, {dd, cc}), open(both, {}));
    require_same(open(both, {}, "dd"), open(world.folder / "cc.model", {}));
    require_same(open(both, {}, "cc"), open(world.folder / "dd.model", {}));
    require_same(open(world.folder / "cc.model", {dd}), open(both, {}));
    require_same(open(world.base, {ee, cc, dd}, "ee"), open(both, {}));
    require_same(open(world.folder / "ee.model", {}, "ee"), open(world.base, {}));
    const auto base = open(world.base, {});
    CHECK(same_bits(probe_logits(open(both, {}).transformer, Mask::all()),
                    probe_logits(base.transformer, {})));
    CHECK(open(world.base, {cc}).hash != base.hash);
    CHECK_THROWS_WITH(open(both, {}, "xx"), Contains("no pack 'xx'") && Contains("cc, dd"));
    CHECK_THROWS_AS(open(both, {}, "xx"), ConfigError);
    CHECK_THROWS_WITH(open(world.base, {cc, cc}), Contains("two packs"));
  }
}

TEST_CASE("a pack takes the place of another of its size", "[expand][packs]") {
  for (const auto layout : {model::ExpertLayout::kPerExpert, model::ExpertLayout::kFused}) {
    PackWorld world({layout, true, "bfloat16"});
    world.pack("cc");
    const fs::path dd = world.pack("dd");
    require_same(open(world.folder / "cc.model", {dd}, "cc"), open(world.folder / "dd.model", {}));
  }
}

TEST_CASE("a summary refuses what cannot be put on or taken off", "[expand][packs]") {
  PackWorld world;
  const fs::path cc = world.pack("cc");
  const ModelFolder model = ModelFolder::open(world.folder / "cc.model");
  CHECK_THROWS_WITH(expand::summarize_model(model, {{cc}, {}, {}}), Contains("two packs 'cc'"));
  CHECK_THROWS_WITH(expand::summarize_model(model, {{}, "dd", {}}), Contains("no pack 'dd'"));
}

TEST_CASE("a model with packs is summarised, profiled and verified as the written sum",
          "[expand][packs][property]") {
  for (const bool tied : {true, false}) {
    PackWorld world({model::ExpertLayout::kFused, tied, "bfloat16"});
    const fs::path cc = world.pack("cc"), dd = world.pack("dd");
    const fs::path both = world.folder / "both";
    const ModelFolder base = ModelFolder::open(world.base);
    expand::attach_packs(base, {cc, dd}, {}, both);
    const ModelFolder written = ModelFolder::open(both);
    const auto as_it_lies = expand::summarize_model(written, {});
    for (const auto& summary :
         {expand::summarize_model(base, {{dd, cc}, {}, {}}), as_it_lies,
          expand::summarize_model(ModelFolder::open(world.folder / "cc.model"), {{dd}, {}, {}})}) {
      CHECK(summary.config.num_experts == written.config.num_experts);
      CHECK(summary.config.vocab_rows == written.config.vocab_rows);
      CHECK(summary.config.tied_embeddings == written.config.tied_embeddings);
      CHECK(summary.num_tokens == tokenizer::Tokenizer::load(both).size());
      REQUIRE(summary.packs.size() == 2);
      CHECK(summary.packs[1].name == "dd");
      CHECK(summary.packs[1].first_expert == written.manifest->packs[1].first_expert);
    }
    CHECK(expand::summarize_model(base, {}).packs.empty());

    const tokenizer::Corpus& corpus = language_world().corpus;
    const auto profile = [&](const expand::OpenModel& model) {
      Json json = expand::profile_opened(model, corpus, {500}).to_json();
      json.erase("model_hash");
      return json;
    };
    CHECK(profile(open(world.base, {cc, dd})) == profile(open(both, {})));

    const auto verify = [&](const ModelFolder& model, const expand::PackChoice& packs) {
      return expand::verify_expansion(base, model, corpus,
                                      {.bytes_per_language = 1000, .packs = packs});
    };
    const auto sum = verify(written, {}), in_memory = verify(base, {{cc, dd}, {}, {}});
    CHECK(sum.ok);
    CHECK(in_memory.ok);
    CHECK(in_memory.masked_logits_equal);
    CHECK(in_memory.to_json()["step0"] == sum.to_json()["step0"]);
    CHECK(verify(ModelFolder::open(world.folder / "cc.model"), {{dd}, {}, {}}).ok);
  }
}

TEST_CASE("a pack of another base is not put on in memory either", "[expand][packs]") {
  TinyModel other;
  other.seed = 6;
  PackWorld world, elsewhere(other);
  const fs::path cc = world.pack("cc");
  CHECK_THROWS_AS(open(elsewhere.base, {cc}), NotComparable);
  CHECK_NOTHROW(expand::open_model(ModelFolder::open(elsewhere.base), {{cc}, {}, {true}}));
}

}  // namespace polygraft::testing
