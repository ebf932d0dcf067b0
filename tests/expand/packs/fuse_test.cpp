// tests/expand/packs/fuse_test.cpp: packs made part of their model.
#include "expand/packs/fuse.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "expand/packs/attach.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/expand/packs/pack_world.h"

namespace polygraft::testing {

using Catch::Contains;
using model::Mask;
using model::ModelFolder;
using model::Transformer;

TEST_CASE("a fused model computes the same, and all of it is old", "[expand][packs]") {
  for (const bool tied : {true, false}) {
    PackWorld world({model::ExpertLayout::kPerExpert, tied, "bfloat16"});
    const fs::path both = world.folder / "both", fused = world.folder / "fused";
    expand::attach_packs(ModelFolder::open(world.base), {world.pack("cc"), world.pack("dd")}, {},
                         both);
    fs::create_directory(fused);
    expand::fuse_packs(ModelFolder::open(both), fused);
    const ModelFolder model = ModelFolder::open(fused);
    CHECK_FALSE(model.manifest.has_value());
    CHECK(model.num_added_experts() == 0);
    CHECK(model.num_added_vocab_rows() == 0);
    const at::Tensor expected = probe_logits(Transformer::load(ModelFolder::open(both)), {});
    CHECK(model::hash_tensors(model.tensors) ==
          model::hash_tensors(ModelFolder::open(both).tensors));
    const Transformer transformer = Transformer::load(model);
    CHECK(at::allclose(probe_logits(transformer, {}), expected, 1e-5, 2e-5));
    CHECK(same_bits(probe_logits(transformer, {}), probe_logits(transformer, Mask::all())));
    for (const auto& entry : fs::directory_iterator(fused)) {
      CHECK_FALSE(entry.path().filename().string().starts_with("polygraft"));
    }
  }
}

TEST_CASE("a model without packs is not fused", "[expand][packs]") {
  const PackWorld world;
  CHECK_THROWS_WITH(expand::fuse_packs(ModelFolder::open(world.base), world.folder / "fused"),
                    Contains("nothing to fuse") && Contains("grafted onto this one"));
}

}  // namespace polygraft::testing
