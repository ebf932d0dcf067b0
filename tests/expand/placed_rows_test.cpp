// tests/expand/placed_rows_test.cpp: new vocabulary rows in a base's spare rows, and padding: what
// is written is the base, its additions and nothing else, and verify sees every byte of it.
#include <catch2/catch.hpp>
#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "expand/padding_row.h"
#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/tensors_hash.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using Catch::Contains;
using expand::Additions;
using model::Mask;
using model::ModelFolder;
using model::Transformer;

namespace {

constexpr int64_t kBaseRows = 96, kExperts = 2;

struct Case {
  TinyModel base;
  bool untie_head;
  int64_t num_added;
  model::RowPlacement placement;
};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const auto& [num_added, placement] :
       {std::pair(5, model::RowPlacement{20, 0, 0}), std::pair(20, model::RowPlacement{20, 0, 0}),
        std::pair(27, model::RowPlacement{20, 25, 9}),
        std::pair(7, model::RowPlacement{0, 25, 9})}) {
    cases.push_back({{model::ExpertLayout::kFused, true, "bfloat16"}, true, num_added, placement});
    cases.push_back({{model::ExpertLayout::kFused, true, "float32"}, false, num_added, placement});
    cases.push_back(
        {{model::ExpertLayout::kPerExpert, false, "bfloat16"}, false, num_added, placement});
  }
  return cases;
}

expand::ExpandedFolder describe_placed(const ModelFolder& base, const Case& of, int64_t num_added) {
  expand::ExpandedFolder expanded = describe(base, kExperts, num_added, of.untie_head);
  expanded.manifest.base_num_experts = base.num_base_experts();
  expanded.manifest.base_vocab_rows = kBaseRows;
  expanded.manifest.base_tied_embeddings = of.base.tied;
  expanded.manifest.vocab_placement = of.placement;
  expanded.manifest.packs = {
      {"id", base.num_base_experts(), kExperts, kBaseRows - of.placement.num_spare, num_added}};
  return expanded;
}

struct Pair {
  TemporaryFolder folder;
  Additions additions;
  explicit Pair(const Case& of) {
    write_tiny_base(of.base, base());
    const ModelFolder opened = ModelFolder::open(base());
    additions =
        random_additions(opened.config, kExperts, of.num_added, of.untie_head || !of.base.tied);
    expand::write_expanded(opened, additions, describe_placed(opened, of, of.num_added), out());
  }
  fs::path base() const { return folder / "base"; }
  fs::path out() const { return folder / "out"; }
  fs::path displaced() const { return out() / model::kBaseFolder / model::kDisplacedRowsFile; }
  expand::VerifyReport verify() const {
    return expand::verify_expansion(ModelFolder::open(base()), ModelFolder::open(out()), {});
  }
};

/// The last byte of a file lies in its last tensor's last row.
void flip_last_byte(const fs::path& file) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(-1, std::ios::end);
  const int byte = stream.get();
  stream.seekp(-1, std::ios::end);
  stream.put(static_cast<char>(byte ^ 1));
  REQUIRE(stream.good());
}

}  // namespace

TEST_CASE("placed additions come back, and masking gives the base with its displaced rows",
          "[expand][property][placed]") {
  for (const Case& of : all_cases()) {
    CAPTURE(of.num_added, of.placement.num_spare, of.base.tied, of.untie_head, of.base.dtype);
    const Pair pair(of);
    const ModelFolder base = ModelFolder::open(pair.base()), out = ModelFolder::open(pair.out());
    const int64_t end = kBaseRows - of.placement.num_spare + of.num_added;
    CHECK(out.config.vocab_rows == std::max(kBaseRows, end) + of.placement.num_padding);
    CHECK(read_json(pair.out() / "config.json")["vocab_size"] == out.config.vocab_rows);
    CHECK(fs::exists(pair.displaced()) == (of.placement.num_spare > 0));
    const Transformer before = Transformer::load(base), after = Transformer::load(out);
    CHECK(same_bits(after.weights().embedding.base, before.weights().embedding.base));
    CHECK(same_bits(after.weights().head.base, before.weights().head.base));
    for (const auto& [name, tensor] : expand::get_additions(after.weights())) {
      const auto dtype = model::to_scalar_type(base.config.dtype);
      CHECK(same_bits(tensor, pair.additions.at(name).to(dtype).to(at::kFloat)));
    }
    CHECK(same_bits(probe_logits(after, Mask::all()), probe_logits(before, {})));
    const expand::VerifyReport report = pair.verify();
    INFO(report.to_json().dump());
    CHECK(report.ok);
    const bool untied = of.base.tied && of.untie_head;
    const uint64_t head_bytes =
        untied ? base.tensors.get("model.embed_tokens.weight").bytes.size() : 0;
    CHECK(report.bytes_compared == base.tensors.total_bytes() + head_bytes);
  }
}

TEST_CASE("additions of a placed model are replaced as on its base", "[expand][placed]") {
  for (const Case& of : all_cases()) {
    CAPTURE(of.num_added, of.placement.num_spare, of.base.tied, of.untie_head);
    const Pair pair(of);
    const ModelFolder base = ModelFolder::open(pair.base()), source = ModelFolder::open(pair.out());
    // Another number of rows: other base rows lose their places.
    const int64_t num_added = of.placement.num_padding > 0 ? of.num_added + 3 : of.num_added - 2;
    const Additions other =
        random_additions(base.config, kExperts, num_added, of.untie_head || !of.base.tied, 99);
    const auto expanded = describe_placed(base, of, num_added);
    const std::string hash = expand::write_expanded(source, other, expanded, pair.folder / "other");
    CHECK(hash == model::hash_tensors(base.tensors));  // displaced rows in their places
    expand::write_expanded(base, other, expanded, pair.folder / "direct");
    CHECK(hash_folder(pair.folder / "other") == hash_folder(pair.folder / "direct"));
  }
}

TEST_CASE("verify finds a changed displaced row, padding row and manifest", "[expand][placed]") {
  const Case of{{model::ExpertLayout::kFused, false, "float32"}, false, 27, {20, 25, 9}};
  const Pair pair(of);
  REQUIRE(pair.verify().ok);
  SECTION("a displaced row") {
    flip_last_byte(pair.displaced());
    const expand::VerifyReport report = pair.verify();
    CHECK_FALSE(report.ok);
    REQUIRE(report.differences.size() == 2);
    CHECK_THAT(report.differences[0].tensor, Contains("displaced_rows.safetensors"));
    CHECK(report.differences[0].row == 95);
    CHECK(report.differences[0].first_byte == 63);
    CHECK(report.differences[1].tensor == "masked logits");
    CHECK_THAT(report.differences[1].reason,
               Contains("SHA-256") && Contains("displaced_rows.safetensors"));
    CHECK_THROWS_AS(Transformer::load(ModelFolder::open(pair.out())), FormatError);
  }
  SECTION("no displaced rows at all") {
    fs::remove(pair.displaced());
    CHECK_THROWS_WITH(ModelFolder::open(pair.out()), Contains("displaced vocabulary rows"));
  }
  SECTION("a padding row that is none of the copied one") {
    OrderedJson manifest = read_ordered_json(pair.out() / "polygraft.json");
    manifest["padding"]["row"] = 8;
    write_json(pair.out() / "polygraft.json", manifest);
    const expand::VerifyReport report = pair.verify();
    CHECK_FALSE(report.ok);
    CHECK(report.masked_logits_equal);
    REQUIRE(report.differences.size() == 2);
    CHECK(report.differences[0].row == 103);
    CHECK_THAT(report.differences[0].reason,
               Contains("padding") && Contains("row 8; so do 24 more"));
  }
}

TEST_CASE("the row that padding copies is the least probable one of a token", "[expand][placed]") {
  at::manual_seed(3);
  const at::Tensor hidden_TD = at::randn({150, 8}), head_VD = at::randn({20, 8});
  const at::Tensor mean_V = at::softmax(at::mm(hidden_TD, head_VD.t()), 1).mean(0);
  CHECK(expand::least_probable_row(hidden_TD, head_VD, 20) == mean_V.argmin().item<int64_t>());
  CHECK(expand::least_probable_row(hidden_TD, head_VD, 5) ==
        mean_V.narrow(0, 0, 5).argmin().item<int64_t>());
  const at::Tensor tied_VD = at::zeros({20, 8});
  tied_VD[3].fill_(-1);
  tied_VD[5].fill_(-1);
  CHECK(expand::least_probable_row(hidden_TD.abs(), tied_VD, 20) == 3);
}

TEST_CASE("a base with spare rows is grafted onto: ids follow its tokens",
          "[expand][graft][placed]") {
  const LanguageWorld& world = language_world();
  const int64_t num_tokens = tokenizer::Tokenizer::load(world.base).size();
  for (const int64_t num_spare : {20, 4}) {
    CAPTURE(num_spare);
    const auto base_folder = world.folder / ("spare" + std::to_string(num_spare));
    const auto out = world.folder / ("placed" + std::to_string(num_spare));
    TinyModel tiny;
    tiny.vocab_rows = num_tokens + num_spare;
    fs::copy(world.base, base_folder, fs::copy_options::recursive);
    write_tiny_base(tiny, base_folder);
    const ModelFolder base = ModelFolder::open(base_folder);
    expand::ExpansionPlan plan = make_plan(world, base_folder);
    plan.vocabulary.pad_to = tiny.vocab_rows;
    expand::graft(base, plan, out);
    const ModelFolder expanded = ModelFolder::open(out);
    const model::RowLayout layout = expanded.vocab_layout();
    CHECK(layout.first_added() == num_tokens);
    CHECK(layout.num_displaced() == std::min<int64_t>(12, num_spare));
    CHECK(expanded.config.vocab_rows == (num_spare == 20 ? 1 : 2) * tiny.vocab_rows);
    CHECK(layout.placement.padding_row < num_tokens);
    const auto tokenizer = tokenizer::Tokenizer::load(out);
    CHECK(tokenizer.size() == num_tokens + 12);
    const expand::VerifyReport report =
        expand::verify_expansion(base, expanded, world.corpus, {.bytes_per_language = 4000});
    INFO(report.to_json().dump(2));
    CHECK(report.ok);
  }
}

}  // namespace polygraft::testing
