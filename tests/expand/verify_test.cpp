// tests/expand/verify_test.cpp: a good expansion passes; any change in its old part is found and
// named.
#include "expand/verify.h"

#include <catch2/catch.hpp>
#include <fstream>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/random.h"
#include "core/text.h"
#include "model/checkpoint/displaced_rows.h"
#include "tests/core/temporary_folder.h"
#include "tests/expand/language_world.h"
#include "tests/expand/tiny_model.h"

namespace polygraft::testing {

using Catch::Contains;
using model::ExpertLayout;
using model::ModelFolder;
using model::TensorView;

namespace {

struct Expanded {
  TemporaryFolder folder;
  explicit Expanded(const TinyModel& tiny) {
    write_tiny_base(tiny, base());
    const ModelFolder opened = ModelFolder::open(base());
    expand::write_expanded(opened, random_additions(opened.config, 2, 4, true),
                           describe(opened, 2, 4, tiny.tied), expanded());
  }
  fs::path base() const { return folder / "base"; }
  fs::path expanded() const { return folder / "expanded"; }
  expand::VerifyReport verify() const {
    return expand::verify_expansion(ModelFolder::open(base()), ModelFolder::open(expanded()), {});
  }
};

/// Where a tensor's bytes begin in the one file of a tiny model.
uint64_t file_offset(const fs::path& file, const std::string& tensor) {
  const MappedFile mapped(file);
  uint64_t header_bytes = 0;
  for (int i = 7; i >= 0; --i) {
    header_bytes =
        header_bytes << 8 | static_cast<unsigned char>(mapped.text()[static_cast<size_t>(i)]);
  }
  const Json header = parse_json(mapped.text().substr(8, header_bytes), file);
  return 8 + header_bytes + header.at(tensor).at("data_offsets").at(0).get<uint64_t>();
}

void flip_bit(const fs::path& file, uint64_t offset, int bit) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  const int byte = stream.get();
  stream.seekp(static_cast<std::streamoff>(offset));
  stream.put(static_cast<char>(byte ^ 1 << bit));
  REQUIRE(stream.good());
}

/// An old tensor of the expanded model, and how many bytes of it are old.
struct OldPart {
  std::string tensor;
  uint64_t num_bytes = 0, row_bytes = 0;
};

std::vector<OldPart> old_parts(const ModelFolder& base, const ModelFolder& expanded) {
  std::vector<OldPart> parts;
  for (const std::string& name : expanded.tensors.names()) {
    const bool untied_head = name == "lm_head.weight" && !base.tensors.contains(name);
    const std::string source = untied_head ? "model.embed_tokens.weight" : name;
    if (!base.tensors.contains(source)) continue;
    const TensorView& view = base.tensors.get(source);
    parts.push_back({name, view.bytes.size(), static_cast<uint64_t>(view.row_bytes())});
  }
  return parts;
}

}  // namespace

TEST_CASE("a good expansion verifies", "[expand][verify]") {
  for (const ExpertLayout layout : {ExpertLayout::kPerExpert, ExpertLayout::kFused}) {
    for (const bool tied : {true, false}) {
      const Expanded model({layout, tied, "bfloat16"});
      const expand::VerifyReport report = model.verify();
      INFO(report.to_json().dump());
      CHECK(report.ok);
      CHECK(report.masked_logits_equal);
      const ModelFolder base = ModelFolder::open(model.base());
      const uint64_t head_bytes =
          tied ? base.tensors.get("model.embed_tokens.weight").bytes.size() : 0;
      CHECK(report.bytes_compared == base.tensors.total_bytes() + head_bytes);
      CHECK(report.tensors_checked ==
            static_cast<int64_t>(base.tensors.names().size()) + (tied ? 1 : 0));
    }
  }
}

TEST_CASE("a base is a valid expansion of itself", "[expand][verify]") {
  const Expanded model({ExpertLayout::kFused, true, "float32"});
  const ModelFolder base = ModelFolder::open(model.base());
  CHECK(expand::verify_expansion(base, base, {}).ok);
}

TEST_CASE("every flipped bit in the old part is found and named", "[expand][verify][property]") {
  for (const ExpertLayout layout : {ExpertLayout::kPerExpert, ExpertLayout::kFused}) {
    const Expanded model({layout, true, "bfloat16"});
    const fs::path file = model.expanded() / "model.safetensors";
    const auto parts =
        old_parts(ModelFolder::open(model.base()), ModelFolder::open(model.expanded()));
    RandomStream random(7, "flips");
    for (int i = 0; i < 40; ++i) {
      const OldPart& part = parts[random.below(parts.size())];
      const uint64_t byte = random.below(part.num_bytes);
      const int bit = static_cast<int>(random.below(8));
      INFO(part.tensor << " byte " << byte << " bit " << bit);
      const uint64_t offset = file_offset(file, part.tensor) + byte;
      flip_bit(file, offset, bit);
      const expand::VerifyReport report = model.verify();
      CHECK_FALSE(report.ok);
      REQUIRE_FALSE(report.differences.empty());
      CHECK(report.differences[0].tensor == part.tensor);
      CHECK(report.differences[0].row == static_cast<int64_t>(byte / part.row_bytes));
      CHECK(report.differences[0].first_byte == static_cast<int64_t>(byte % part.row_bytes));
      flip_bit(file, offset, bit);
    }
    CHECK(model.verify().ok);
  }
}

TEST_CASE("additions may change: they are not the base's", "[expand][verify]") {
  const Expanded model({ExpertLayout::kFused, true, "float32"});
  const ModelFolder base = ModelFolder::open(model.base());
  const fs::path file = model.expanded() / "model.safetensors";
  const std::string router = "model.layers.1.mlp.gate.weight";
  flip_bit(file, file_offset(file, router) + base.tensors.get(router).bytes.size() + 2, 1);
  CHECK(model.verify().ok);
}

TEST_CASE("an addition that is no number is found", "[expand][verify]") {
  for (const ExpertLayout layout : {ExpertLayout::kFused, ExpertLayout::kPerExpert}) {
    const bool fused = layout == ExpertLayout::kFused;
    const Expanded model({layout, true, "float32"});
    const std::string tensor = fused ? "model.layers.1.mlp.experts.down_proj"
                                     : "model.layers.1.mlp.experts.7.down_proj.weight";
    const ModelFolder base = ModelFolder::open(model.base());
    const uint64_t old_bytes = fused ? base.tensors.get(tensor).bytes.size() : 0;
    const fs::path file = model.expanded() / "model.safetensors";
    std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(static_cast<std::streamoff>(file_offset(file, tensor) + old_bytes));
    stream.write("\0\0\xC0\x7F", 4);  // NaN
    stream.close();
    const expand::VerifyReport report = model.verify();
    CHECK_FALSE(report.ok);
    CHECK(report.masked_logits_equal);
    REQUIRE(report.differences.size() == 1);
    CHECK(report.differences[0].tensor == tensor);
    CHECK_THAT(report.differences[0].reason, Contains("not finite"));
  }
}

TEST_CASE("rows of one tensor are one difference, that counts them", "[expand][verify]") {
  const Expanded model({ExpertLayout::kFused, true, "float32"});
  const fs::path file = model.expanded() / "model.safetensors";
  const uint64_t begin = file_offset(file, "model.embed_tokens.weight");
  for (uint64_t row = 0; row < 96; ++row) flip_bit(file, begin + row * 64, 0);
  const uint64_t head = file_offset(file, "lm_head.weight");
  for (uint64_t row = 0; row < 96; ++row) flip_bit(file, head + row * 64, 0);
  const expand::VerifyReport report = model.verify();
  CHECK_FALSE(report.ok);
  REQUIRE(report.differences.size() == 2);
  CHECK(report.num_differences == 2);
  for (const expand::Difference& difference : report.differences) {
    CHECK(difference.row == 0);
    CHECK_THAT(difference.reason,
               Contains("an old row's bytes differ") && Contains("so do 95 more rows"));
  }
}

namespace {

void edit_json(const fs::path& file, const std::function<void(OrderedJson&)>& edit) {
  OrderedJson json = read_ordered_json(file);
  edit(json);
  write_json(file, json);
}

}  // namespace

TEST_CASE("a changed description is found", "[expand][verify]") {
  const Expanded model({ExpertLayout::kPerExpert, true, "float32"});
  SECTION("a setting of config.json") {
    edit_json(model.expanded() / "config.json", [](OrderedJson& j) { j["rope_theta"] = 20000.0; });
    const expand::VerifyReport report = model.verify();
    CHECK_FALSE(report.ok);
    CHECK_FALSE(report.masked_logits_equal);
    REQUIRE(report.differences.size() == 1);
    CHECK(report.differences[0].tensor == "config.json");
    CHECK_THAT(report.differences[0].reason, Contains("rope_theta") && Contains("20000"));
  }
  SECTION("the manifest's base") {
    edit_json(model.expanded() / "polygraft.json",
              [](OrderedJson& j) { j["base_tensors_hash"] = std::string(64, 'a'); });
    const expand::VerifyReport report = model.verify();
    CHECK_FALSE(report.ok);
    CHECK(report.masked_logits_equal);
    REQUIRE(report.differences.size() == 1);
    CHECK_THAT(report.differences[0].reason, Contains("base_tensors_hash"));
  }
  SECTION("whether the base's output rows are its input rows") {
    edit_json(model.expanded() / "polygraft.json",
              [](OrderedJson& j) { j["base_tied_embeddings"] = false; });
    CHECK_THAT(model.verify().differences.at(0).reason, Contains("base_tied_embeddings"));
  }
  SECTION("what gives the base back") {
    fs::remove_all(model.expanded() / model::kBaseFolder / "headers");
    const expand::VerifyReport report = model.verify();
    CHECK_FALSE(report.ok);
    CHECK(report.differences.at(0).tensor == model::kBaseFolder);
  }
  SECTION("no manifest beside more rows than the base's") {
    fs::remove(model.expanded() / "polygraft.json");
    const expand::VerifyReport report = model.verify();
    CHECK_FALSE(report.ok);
    CHECK(report.differences.at(0).tensor == "polygraft.json");
  }
  SECTION("another model altogether") {
    TinyModel wide{ExpertLayout::kPerExpert, false, "float32"};
    wide.vocab_rows = 50;
    wide.seed = 6;
    write_tiny_base(wide, model.folder / "wide");
    const auto report = expand::verify_expansion(ModelFolder::open(model.base()),
                                                 ModelFolder::open(model.folder / "wide"), {});
    CHECK_FALSE(report.ok);
    CHECK_FALSE(report.masked_logits_equal);
    CHECK_THAT(report.differences.at(0).reason, Contains("has 50 vocabulary rows, the base 96"));
  }
}

TEST_CASE("a model of another depth is no expansion", "[expand][verify]") {
  const Expanded model({ExpertLayout::kPerExpert, true, "float32"});
  for (const int64_t num_layers : {2, 4}) {
    TinyModel other{ExpertLayout::kPerExpert, true, "float32"};
    other.num_layers = num_layers;
    const fs::path folder = model.folder / concat("of-", num_layers);
    write_tiny_base(other, folder);
    const auto report =
        expand::verify_expansion(ModelFolder::open(model.base()), ModelFolder::open(folder), {});
    CHECK_FALSE(report.ok);
    CHECK_FALSE(report.masked_logits_equal);
    CHECK_THAT(report.differences.at(0).reason, Contains(concat("has ", num_layers, " layers")));
  }
}

TEST_CASE("packs on a model with too few rows for the base are not ok", "[expand][verify]") {
  const Expanded model({ExpertLayout::kPerExpert, true, "float32"});
  TinyModel narrow{ExpertLayout::kPerExpert, true, "float32"};
  narrow.vocab_rows = 50;
  write_tiny_base(narrow, model.folder / "narrow");
  const auto report = expand::verify_expansion(
      ModelFolder::open(model.base()), ModelFolder::open(model.folder / "narrow"), {},
      {.packs = {.packs = {model.folder / "pack"}, .without = {}, .options = {}}});
  CHECK_FALSE(report.ok);
  CHECK_FALSE(report.masked_logits_equal);
  REQUIRE(report.differences.size() == 1);
  CHECK(report.differences[0].tensor == "config.json");
  CHECK_THAT(report.differences[0].reason, Contains("50") && Contains("96"));
}

namespace {

void write_tokenizer(const fs::path& folder, const Json& vocab, const Json& merges) {
  write_json(folder / "tokenizer.json",
             Json{{"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}},
                  {"added_tokens", {{{"id", 0}, {"content", "<s>"}}}},
                  {"pre_tokenizer", {{"type", "ByteLevel"}}}});
}

}  // namespace

TEST_CASE("old merges keep their ranks and old tokens their ids", "[expand][verify]") {
  const Expanded model({ExpertLayout::kPerExpert, true, "float32"});
  const Json vocab{{"<s>", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {"ba", 4}};
  const Json merges = {"a b", "b a"};
  write_tokenizer(model.base(), vocab, merges);
  Json longer = vocab, more = merges;
  longer["aba"] = 5;
  more.push_back({"ab", "a"});
  const auto reason = [&](const Json& new_vocab, const Json& new_merges) {
    write_tokenizer(model.expanded(), new_vocab, new_merges);
    const expand::VerifyReport report = model.verify();
    return report.differences.empty() ? "" : report.differences[0].reason;
  };
  CHECK_THAT(reason(longer, more), Contains("base_tokenizer_hash"));
  edit_json(model.expanded() / "polygraft.json", [&](OrderedJson& j) {
    j["base_tokenizer_hash"] = sha256_file(model.base() / "tokenizer.json");
  });
  CHECK(reason(longer, more) == "");
  CHECK_THAT(reason(longer, {"ab a", "a b", "b a"}), Contains("'a b' lost its rank 0"));
  Json moved = longer;
  moved["ba"] = 5;
  moved["aba"] = 4;
  CHECK_THAT(reason(moved, more), Contains("'ba' had id 4"));
  fs::remove(model.expanded() / "tokenizer.json");
  CHECK_FALSE(model.verify().ok);
}

TEST_CASE("of two tokenizer files the manifest knows the one that applies", "[expand][verify]") {
  const Expanded model({ExpertLayout::kPerExpert, true, "float32"});
  const fs::path pieces = language_world(TokenizerKind::kSentencePiece).base / "tokenizer.model";
  for (const fs::path& folder : {model.base(), model.expanded()}) {
    write_tokenizer(folder, Json{{"<s>", 0}, {"a", 1}}, Json::array());
    fs::copy_file(pieces, folder / "tokenizer.model");
  }
  const auto note = [&](const char* file) {
    edit_json(model.expanded() / "polygraft.json",
              [&](OrderedJson& j) { j["base_tokenizer_hash"] = sha256_file(model.base() / file); });
    return model.verify().differences;
  };
  CHECK(note("tokenizer.json").empty());
  CHECK(note("tokenizer.model").size() == 1);
}

}  // namespace polygraft::testing
