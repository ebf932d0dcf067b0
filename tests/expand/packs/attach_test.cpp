// tests/expand/packs/attach_test.cpp: what packs make is a function of their set, byte for byte,
// and the base comes back.
#include "expand/packs/attach.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <regex>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/packs/composition.h"
#include "expand/packs/stored_pack.h"
#include "expand/place_rows.h"
#include "expand/verify.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/expand/packs/pack_world.h"
#include "tokenizer/tokenizer.h"

namespace polygraft::testing {

using Catch::Contains;
using model::ExpertLayout;
using model::Mask;
using model::ModelFolder;
using Names = std::vector<std::string>;

namespace {

void attach(const fs::path& model, const std::vector<fs::path>& packs, const fs::path& out,
            bool allow = false) {
  fs::remove_all(out);
  expand::attach_packs(ModelFolder::open(model), packs, {allow}, out);
}

void detach(const fs::path& model, const std::string& name, const fs::path& out) {
  fs::remove_all(out);
  expand::detach_pack(ModelFolder::open(model), name, out);
}

std::vector<TinyModel> all_bases() {
  return {{ExpertLayout::kPerExpert, true, "bfloat16"},
          {ExpertLayout::kFused, true, "float32"},
          {ExpertLayout::kPerExpert, true, "mixed"},
          {ExpertLayout::kPerExpert, false, "bfloat16"}};
}

}  // namespace

TEST_CASE("a pack attached to its base is the expanded model, byte for byte",
          "[expand][packs][property]") {
  for (const TinyModel& tiny : all_bases()) {
    for (const bool untie : {true, false}) {
      PackWorld world(tiny);
      const fs::path pack = world.pack("cc", 2, untie);
      attach(world.base, {pack}, world.folder / "out");
      CHECK(differing_files(world.folder / "cc.model", world.folder / "out") == Names{});
    }
  }
}

TEST_CASE("detaching the last pack gives the base folder back, byte for byte",
          "[expand][packs][property]") {
  for (const TinyModel& tiny : all_bases()) {
    PackWorld world(tiny);
    detach(world.expand("cc", 2, true), "cc", world.folder / "out");
    CHECK(differing_files(world.base, world.folder / "out") == Names{});
  }
}

TEST_CASE("attaching and detaching in any order gives what any other order gives",
          "[expand][packs][property]") {
  for (const TinyModel& tiny : all_bases()) {
    PackWorld world(tiny);
    // ee keeps a tied head tied; another pack unties it.
    std::map<std::string, fs::path> packs = {{"cc", world.pack("cc", 2, true)},
                                             {"dd", world.pack("dd", 3, true)},
                                             {"ee", world.pack("ee", 1, false)}};
    std::map<Names, std::string> hashes;  // of the model, by the set of its packs
    const auto note = [&](const Names& attached, const fs::path& model) {
      const auto [found, is_new] = hashes.emplace(attached, hash_folder(model));
      CHECK(found->second == hash_folder(model));
    };
    note({}, world.base);
    attach(world.base, {packs["ee"], packs["cc"], packs["dd"]}, world.folder / "all");
    note({"cc", "dd", "ee"}, world.folder / "all");
    for (uint64_t round = 0; round < 3; ++round) {
      RandomStream random(round, "order");
      fs::path model = world.base;
      Names attached;
      for (int step = 0; step < 8; ++step) {
        const std::string name = std::vector<std::string>{"cc", "dd", "ee"}[random.below(3)];
        const fs::path next = world.folder / ("step" + std::to_string(step % 2));
        const auto place = std::lower_bound(attached.begin(), attached.end(), name);
        if (place != attached.end() && *place == name) {
          attached.erase(place);
          detach(model, name, next);
        } else {
          attached.insert(place, name);
          attach(model, {packs[name]}, next);
        }
        model = next;
        note(attached, model);
      }
    }
    CHECK(hashes.size() >= 5);
  }
}

TEST_CASE("a pack that the model has, and a model in a pack's place, are named by their own folder",
          "[expand][packs]") {
  PackWorld world;
  const fs::path cc = world.pack("cc"), model = world.folder / "cc.model";
  const auto message = [&](const fs::path& onto, const fs::path& pack) -> std::string {
    try {
      attach(onto, {pack}, world.folder / "out");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::string twice = message(model, cc);
  CHECK_THAT(twice, Contains(cc.string()) && Contains("has a pack 'cc' already") &&
                        Contains(model.string()));
  CHECK_THAT(twice, !Contains("polygraft.work"));
  CHECK_THAT(message(world.base, model),
             Contains("is a model, not a pack") && Contains("expand pack --expanded"));
  CHECK_THAT(message(world.base, world.base), Contains("a base has no additions"));
}

TEST_CASE("rows kept of a pack that are missing or too few are named", "[expand][packs]") {
  PackWorld world;
  const fs::path both = world.folder / "both", out = world.folder / "out";
  attach(world.base, {world.pack("cc"), world.pack("dd")}, both);
  const fs::path file = both / expand::kPacksFolder / "dd" / expand::kShadowedFile;
  std::map<std::string, model::OwnedTensor> good;
  for (const auto& [name, view] : model::read_tensor_file(file)) {
    good[name].spec = {name, view.dtype, view.shape};
    good[name].bytes = std::string(view.bytes);
  }
  REQUIRE(good.at(expand::kShadowedIndex).spec.shape[0] > 1);
  const auto message = [&](const std::map<std::string, model::OwnedTensor>& tensors) {
    fs::remove(file);
    model::write_tensor_file(file, tensors);
    CHECK_THROWS_AS(detach(both, "cc", out), FormatError);
    try {
      detach(both, "cc", out);
    } catch (const FormatError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  auto missing = good;
  missing.erase(expand::kAddedEmbedding);
  CHECK_THAT(message(missing), Contains(expand::kAddedEmbedding) && Contains("no such tensor"));
  for (const char* name : {expand::kAddedEmbedding, expand::kAddedHead}) {
    auto few = good;
    model::OwnedTensor& rows = few.at(name);
    rows.bytes.resize(rows.bytes.size() / static_cast<size_t>(rows.spec.shape[0]));
    rows.spec.shape[0] = 1;
    CHECK_THAT(message(few), Contains(name) && Contains(file.string()));
  }
  fs::remove(file);
  model::write_tensor_file(file, good);
  detach(both, "cc", out);
}

TEST_CASE("packs together keep the base and each other's tokens", "[expand][packs]") {
  PackWorld world;
  const fs::path cc = world.pack("cc"), dd = world.pack("dd"), out = world.folder / "out";
  attach(world.base, {dd, cc}, out);
  const ModelFolder base = ModelFolder::open(world.base), model = ModelFolder::open(out);
  const expand::VerifyReport report = expand::verify_expansion(base, model, {});
  INFO(report.to_json().dump(2));
  CHECK(report.ok);
  CHECK(report.masked_logits_equal);
  REQUIRE(model.manifest->packs.size() == 2);
  const int64_t num_shared = 24 - model.num_added_vocab_rows();
  CHECK(num_shared > 0);
  CHECK(model.manifest->packs[0].num_vocab_rows == 12);
  const auto tokenizer = tokenizer::Tokenizer::load(out);
  CHECK(tokenizer.size() == model.config.vocab_rows);
  for (const fs::path& pack : {cc, dd}) {
    for (const std::string& token : expand::open_pack(pack).pack.tokens) {
      CHECK(tokenizer.find(token).has_value());
    }
  }
}

TEST_CASE("permuting experts with their router rows changes nothing but the order",
          "[expand][packs][property]") {
  PackWorld world;
  const fs::path pack = world.pack("cc", 3), out = world.folder / "out";
  attach(world.base, {pack}, out);
  const auto straight = model::Transformer::load(ModelFolder::open(out));
  auto permuted = model::Transformer::load(ModelFolder::open(out));
  const at::Tensor order = at::tensor(std::vector<int64_t>{2, 0, 1}, at::kLong);
  expand::Additions additions = expand::get_additions(permuted.weights());
  for (auto& [name, rows] : additions) {
    if (name.find(".moe.") != std::string::npos) rows = rows.index_select(0, order);
  }
  expand::set_additions(permuted.weights(), additions);
  CHECK(same_bits(probe_logits(straight, {}), probe_logits(permuted, {})));
  CHECK_FALSE(same_bits(probe_logits(straight, {}), probe_logits(straight, {true, false, false})));
}

/// Of the same shapes.
TinyModel another_base() {
  TinyModel other;
  other.seed = 6;
  return other;
}

TEST_CASE("packs of another base are refused", "[expand][packs]") {
  PackWorld world;
  PackWorld elsewhere(another_base());
  const fs::path pack = world.pack("cc"), out = world.folder / "out";
  const std::string hash = model::hash_tensors(ModelFolder::open(world.base).tensors);
  const std::string other_hash = model::hash_tensors(ModelFolder::open(elsewhere.base).tensors);
  CHECK_THROWS_AS(attach(elsewhere.base, {pack}, out), NotComparable);
  CHECK_THROWS_WITH(attach(elsewhere.base, {pack}, out),
                    Contains(hash) && Contains(other_hash) && Contains("another base"));
  attach(elsewhere.base, {pack}, out, /*allow=*/true);
  CHECK(ModelFolder::open(out).manifest->base_tensors_hash == other_hash);
  write_file_atomically(pack / "pack.json", std::regex_replace(read_file(pack / "pack.json"),
                                                               std::regex("qwen3_moe"), "mixtral"));
  for (const bool allow : {false, true}) {
    CHECK_THROWS_WITH(attach(elsewhere.base, {pack}, out, allow),
                      Contains("family") && Contains("mixtral") && Contains("qwen3_moe"));
  }
}

TEST_CASE("the same pack twice, and one that is not there, are refused", "[expand][packs]") {
  PackWorld world;
  PackWorld elsewhere(another_base());
  const fs::path pack = world.pack("cc"), out = world.folder / "out";
  const std::string hash = model::hash_tensors(ModelFolder::open(world.base).tensors);
  CHECK_THROWS_WITH(attach(world.base, {pack, pack}, out), Contains("two packs 'cc'"));
  CHECK_THROWS_WITH(attach(world.folder / "cc.model", {pack}, out),
                    Contains("has a pack 'cc' already"));
  CHECK_THROWS_WITH(attach(elsewhere.expand("dd", 2, true), {pack}, out), Contains(hash));
  CHECK_THROWS_WITH(detach(world.folder / "cc.model", "id", out),
                    Contains("no pack 'id'") && Contains("cc"));
  CHECK_THROWS_WITH(detach(world.base, "cc", out), Contains("a model with packs"));
}

TEST_CASE("padding copies a token's row, or the pack is refused", "[expand][packs]") {
  PackWorld world;
  const ModelFolder base = ModelFolder::open(world.base);
  expand::OpenPack open = expand::open_pack(world.pack("cc"));
  open.pack.pad_to = base.config.vocab_rows;  // which grown rows are padded to
  open.pack.padding_row = base.config.vocab_rows - 1;
  CHECK_NOTHROW(expand::compose(base, {open}, base.config.vocab_rows));
  open.pack.padding_row = base.config.vocab_rows;
  CHECK_THROWS_WITH(expand::compose(base, {open}, base.config.vocab_rows),
                    Contains("no token of the base"));
}

TEST_CASE("new tokens are refused on a base with fewer rows than its tokenizer has tokens",
          "[expand][packs]") {
  PackWorld world;
  const ModelFolder base = ModelFolder::open(world.base);
  const expand::OpenPack open = expand::open_pack(world.pack("cc"));
  const int64_t num_rows = base.config.vocab_rows;
  CHECK_NOTHROW(expand::compose(base, {open}, num_rows));
  CHECK_THROWS_WITH(expand::compose(base, {open}, num_rows + 1),
                    Contains("fewer vocabulary rows") && Contains(concat(num_rows + 1)));
}

TEST_CASE("a pack of experts alone is listed as its graft lists it, spare rows or not",
          "[expand][packs]") {
  PackWorld world;
  const ModelFolder base = ModelFolder::open(world.base);
  expand::OpenPack open = expand::open_pack(world.pack("cc"));
  open.pack.tokens.clear();
  open.pack.merges.clear();
  open.pack.untied_head = false;
  open.additions.erase("embedding.added");
  open.additions.erase("head.added");
  const int64_t num_rows = base.config.vocab_rows, num_tokens = num_rows - 10;
  const model::Manifest manifest = expand::compose(base, {open}, num_tokens).manifest;
  const model::RowLayout grafted = expand::place_rows(num_rows, num_tokens, 0, 0);
  CHECK(manifest.packs.at(0).first_vocab_row == grafted.first_added());
}

TEST_CASE("a base that changed after the expansion is not passed off as the base",
          "[expand][packs]") {
  PackWorld world;
  const fs::path model = world.expand("cc", 2, true), out = world.folder / "out";
  write_file_atomically(model / "polygraft.base" / "files" / "README.md", "another card\n");
  CHECK_THROWS_WITH(detach(model, "cc", out), Contains("README.md") && Contains("SHA-256"));
  const fs::path again = world.expand("cc", 2, true);
  std::string bytes = read_file(again / "model.safetensors");
  bytes[bytes.size() / 4] ^= 1;
  write_file_atomically(again / "model.safetensors", bytes);
  CHECK_THROWS_AS(detach(again, "cc", out), FormatError);
}

}  // namespace polygraft::testing
