// tests/expand/packs/open_model_test.cpp: packs in memory compute what the written sum computes.
#include "expand/packs/open_model.h"

#include <catch2/catch.hpp>

#include "core/error.h"
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
    CHECK_THROWS_WITH(open(world.base, {cc, cc}), Contains("two packs"));
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
