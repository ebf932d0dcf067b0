// expand/packs/pack.cpp: pack.json to and from Pack, and opening a pack folder.
#include "expand/packs/pack.h"

#include <set>

#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/additions.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/manifest.h"
#include "model/checkpoint/pack_name.h"
#include "model/checkpoint/tensor_file.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

constexpr int64_t kPackSchema = 1;
constexpr int64_t kMostExperts = int64_t{1} << 20;
constexpr int64_t kMostRows = int64_t{1} << 40;

Json layers_json(const Pack& pack) {
  Json layers = Json::array();
  for (const PackLayer& layer : pack.layers) {
    layers.push_back(
        {{"layer", layer.layer}, {"num_experts", layer.num_experts}, {"donors", layer.donors}});
  }
  return layers;
}

PackBase read_base(const model::JsonFields& fields) {
  PackBase base;
  base.family = fields.text("family");
  base.tensors_hash = fields.text("tensors_hash");
  base.tokenizer_hash = fields.text("tokenizer_hash");
  base.num_experts = fields.integer("num_experts", 0, kMostExperts);
  base.vocab_rows = fields.integer("vocab_rows", 1, kMostRows);
  base.tied_embeddings = fields.flag("tied_embeddings");
  return base;
}

std::vector<PackLayer> read_layers(const model::JsonFields& fields) {
  std::vector<PackLayer> layers;
  for (const Json& value : fields.list("layers")) {
    const model::JsonFields entry(value, fields.file(), concat("layers[", layers.size(), "]"));
    PackLayer layer;
    layer.layer = entry.integer("layer", 0, kMostExperts);
    layer.num_experts = entry.integer("num_experts", 0, kMostExperts);
    layer.donors = json_get<std::vector<int64_t>>(value, "donors", fields.file());
    const bool known = layers.empty() || layers.back().layer < layer.layer;
    if (!known || (!layers.empty() && layers.back().num_experts != layer.num_experts)) {
      throw FormatError(fields.file(), "the layers of a pack are out of order or differ in experts")
          .found(json_excerpt(value));
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<std::string> read_tokens(const model::JsonFields& fields) {
  const auto tokens = json_get<std::vector<std::string>>(Json{{"tokens", fields.list("tokens")}},
                                                         "tokens", fields.file());
  std::set<std::string_view> seen;
  for (const std::string& token : tokens) {
    if (!token.empty() && seen.insert(token).second) continue;
    throw FormatError(fields.file(), "a token of the pack is empty or listed twice")
        .found(in_quotes(token));
  }
  return tokens;
}

/// Rows are tokens' by their order, and texts are cut by merges: another list is another model.
void check_vocabulary(const Pack& pack, const model::JsonFields& fields) {
  const std::string expected = fields.text("vocabulary_hash"), found = pack.vocabulary_hash();
  if (found == expected) return;
  throw FormatError(fields.file(), "the pack's tokens or merges are not those it was written with")
      .expected("tokens and merges with SHA-256 " + expected)
      .found(found)
      .hint("the file was changed or damaged; fetch the pack again");
}

}  // namespace

std::string Pack::vocabulary_hash() const {
  return sha256(OrderedJson{{"tokens", tokens}, {"merges", merges}}.dump());
}

OrderedJson Pack::to_json() const {
  return {{"schema_version", kPackSchema},
          {"tool_version", tool_version},
          {"name", name},
          {"base",
           {{"family", base.family},
            {"tensors_hash", base.tensors_hash},
            {"tokenizer_hash", base.tokenizer_hash},
            {"num_experts", base.num_experts},
            {"vocab_rows", base.vocab_rows},
            {"tied_embeddings", base.tied_embeddings}}},
          {"padding", {{"multiple", pad_to}, {"row", padding_row}}},
          {"untied_head", untied_head},
          {"additions_hash", additions_hash},
          {"layers", layers_json(*this)},
          {"vocabulary_hash", vocabulary_hash()},
          {"tokens", tokens},
          {"merges", merges},
          {"provenance", *provenance}};
}

Pack Pack::from_json(const OrderedJson& json, const fs::path& file) {
  const Json plain = json;
  const model::JsonFields fields(plain, file);
  fields.require_schema(kPackSchema, "the pack");
  Pack pack;
  pack.tool_version = fields.text("tool_version");
  pack.name = fields.text("name");
  model::check_pack_name(pack.name, file);
  pack.base = read_base({fields.raw("base"), file, "base"});
  const model::JsonFields padding(fields.raw("padding"), file, "padding");
  pack.pad_to = padding.integer("multiple", 1, kMostRows);
  pack.padding_row = padding.integer("row", -1, pack.base.vocab_rows - 1);
  pack.untied_head = fields.flag("untied_head");
  pack.additions_hash = fields.text("additions_hash");
  pack.layers = read_layers(fields);
  pack.tokens = read_tokens(fields);
  pack.merges = parse_merges(fields.list("merges"), file);
  check_vocabulary(pack, fields);
  pack.provenance = model::read_provenance(json, file);
  return pack;
}

namespace {

[[noreturn]] void fail_to_agree(const fs::path& file, const std::string& expected,
                                const std::string& found) {
  throw FormatError(file, concat("the tensors are not those that ", kPackFile, " describes"))
      .expected(expected)
      .found(found)
      .hint("the pack is truncated, or put together from two; fetch it again");
}

/// Each tensor has the rows that pack.json speaks of, and hashes to what it says.
void check_tensors(const Pack& pack, const std::map<std::string, model::TensorView>& tensors,
                   const fs::path& file) {
  model::TensorsHash hash;
  for (const auto& [name, view] : tensors) {
    hash.add({name, view.dtype, view.shape}, {view.bytes});
  }
  const std::string found = hash.finish();
  if (found != pack.additions_hash) {
    fail_to_agree(file, "tensors with SHA-256 " + pack.additions_hash, found);
  }
}

}  // namespace

namespace {

/// A model where a pack belongs is a common slip: a run leaves both.
void refuse_model(const fs::path& folder) {
  if (fs::exists(folder / kPackFile) || !fs::exists(folder / "config.json")) return;
  const bool has_packs = fs::exists(folder / model::kManifestFile);
  throw ConfigError(folder.string(), "is a model, not a pack")
      .expected(concat("a folder with ", kPackFile, ", as `expand pack` writes it"))
      .hint(has_packs ? "`polygraft expand pack --expanded MODEL -o PACK` takes its additions out"
                      : "a base has no additions; a run leaves its pack in RUN_DIR/pack");
}

}  // namespace

OpenPack open_pack(const fs::path& folder) {
  if (!fs::is_directory(folder)) {
    throw IoError(folder, "no such folder")
        .hint(concat("a pack is a folder with ", kPackFile, ", as `expand pack` writes it"));
  }
  refuse_model(folder);
  OpenPack open{
      Pack::from_json(read_ordered_json(folder / kPackFile), folder / kPackFile), folder, {}};
  const fs::path file = folder / kPackTensors;
  const auto tensors = model::read_tensor_file(file);
  check_tensors(open.pack, tensors, file);
  for (const auto& [name, view] : tensors) open.additions[name] = model::mapped_tensor(view);
  return open;
}

}  // namespace polygraft::expand
