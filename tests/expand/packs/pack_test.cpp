// tests/expand/packs/pack_test.cpp: a pack holds what an expansion added, and is read back only
// whole.
#include "expand/packs/pack.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/additions.h"
#include "expand/packs/base_snapshot.h"
#include "expand/packs/stored_pack.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/expand/packs/pack_world.h"

namespace polygraft::testing {

using Catch::Contains;
using model::ExpertLayout;

TEST_CASE("a pack's tensors are the additions, in either layout", "[expand][packs]") {
  for (const ExpertLayout layout : {ExpertLayout::kPerExpert, ExpertLayout::kFused}) {
    for (const bool untie : {true, false}) {
      INFO("fused " << (layout == ExpertLayout::kFused) << ", untie " << untie);
      PackWorld world({layout, true, untie ? "bfloat16" : "mixed"});
      const expand::OpenPack pack = expand::open_pack(world.pack("cc", 3, untie));
      const auto expanded = model::ModelFolder::open(world.folder / "cc.model");
      const auto additions = expand::get_additions(model::Transformer::load(expanded).weights());
      REQUIRE(pack.additions.size() == additions.size());
      for (const auto& [name, tensor] : additions) {
        INFO(name);
        REQUIRE(pack.additions.count(name) == 1);
        const bool is_wide = !untie && (name.find("router") != std::string::npos ||
                                        name.find("down") != std::string::npos);
        CHECK(pack.additions.at(name).scalar_type() == (is_wide ? at::kFloat : at::kBFloat16));
        CHECK(same_bits(pack.additions.at(name).to(at::kFloat), tensor));
      }
      CHECK(pack.pack.name == "cc");
      CHECK(pack.pack.num_experts() == 3);
      CHECK(pack.pack.num_vocab_rows() == 12);
      CHECK(pack.pack.merges.size() >= 12);
      CHECK(pack.pack.untied_head == untie);
      CHECK((*pack.pack.provenance)["made_for"] == "cc");
      CHECK(pack.pack.base.tensors_hash ==
            model::hash_tensors(model::ModelFolder::open(world.base).tensors));
    }
  }
}

TEST_CASE("what an expansion would lose of its base is kept beside it", "[expand][packs]") {
  PackWorld world;
  const auto out = world.expand("cc", 2, true);
  const auto snapshot = expand::BaseSnapshot::open(out);
  CHECK(snapshot.left_out.empty());
  for (const char* name :
       {"config.json", "tokenizer.json", "README.md", "generation_config.json"}) {
    CHECK(read_file(snapshot.files / name) == read_file(world.base / name));
  }
  REQUIRE(snapshot.shards.size() == 1);
  const std::string stored = read_file(world.base / "model.safetensors");
  CHECK(stored.starts_with(snapshot.shards[0].header_bytes));
}

TEST_CASE("broken packs are refused with what is wrong", "[expand][packs]") {
  PackWorld world;
  const auto pack = world.pack("cc");
  const auto json = read_ordered_json(pack / "pack.json");
  const auto with = [&](const std::string& key, const OrderedJson& value) {
    OrderedJson changed = json;
    changed[key] = value;
    write_json(pack / "pack.json", changed);
    return expand::open_pack(pack);
  };
  CHECK_THROWS_WITH(with("schema_version", 2), Contains("another version") && Contains("2"));
  CHECK_THROWS_WITH(with("name", "../up"), Contains("unusable name"));
  CHECK_THROWS_WITH(with("name", ""), Contains("unusable name"));
  CHECK_THROWS_WITH(with("name", "a\nb"), Contains("unusable name"));
  CHECK_THROWS_WITH(with("tokens", {"a", "a"}), Contains("listed twice"));
  CHECK_THROWS_WITH(with("merges", {{"a", "b", "c"}}), Contains("no pair"));
  CHECK_THROWS_WITH(with("merges", OrderedJson::array({OrderedJson::array({"a", "b"})})),
                    Contains("not those it was written with"));
  CHECK_THROWS_WITH(with("tokens", {"a", "b"}), Contains("not those it was written with"));
  OrderedJson without = json;
  without.erase("vocabulary_hash");
  write_json(pack / "pack.json", without);
  CHECK_THROWS_WITH(expand::open_pack(pack), Contains("vocabulary_hash"));
  CHECK_THROWS_WITH(with("layers", "all"), Contains("layers"));
  CHECK_THROWS_WITH(with("additions_hash", std::string(64, '0')),
                    Contains("expected") && Contains("found"));
  write_json(pack / "pack.json", json);
  CHECK_NOTHROW(expand::open_pack(pack));
  const std::string tensors = read_file(pack / "additions.safetensors");
  write_file_atomically(pack / "additions.safetensors", tensors.substr(0, tensors.size() / 2));
  CHECK_THROWS_WITH(expand::open_pack(pack), Contains("additions.safetensors"));
  CHECK_THROWS_WITH(expand::open_pack(world.folder / "nothing"), Contains("no such folder"));
}

TEST_CASE("a manifest with a plan that is none is named", "[expand][packs]") {
  PackWorld world;
  const fs::path model = world.expand("cc", 2, true), file = model / "polygraft.json";
  OrderedJson manifest = read_ordered_json(file);
  manifest["provenance"]["plan"] =
      OrderedJson::parse(R"({"layers": [{"layer": "x", "donors": 3}]})");
  write_json(file, manifest);
  CHECK_THROWS_WITH(expand::find_pack(model::ModelFolder::open(model), "cc"),
                    Contains("polygraft.json") && Contains("'layer'"));
}

}  // namespace polygraft::testing
