// model/checkpoint/manifest.cpp: polygraft.json to and from Manifest. Additions lie one pack after
// the other, so that a pack is a row range and detaching the last one gives the model before it.
#include "model/checkpoint/manifest.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "model/checkpoint/json_fields.h"
#include "model/checkpoint/pack_name.h"

namespace polygraft::model {
namespace {

constexpr int64_t kSchemaVersion = 1;
constexpr int64_t kMostRows = int64_t{1} << 40;
constexpr size_t kHashDigits = 64;

std::string read_hash(const JsonFields& json, const std::string& key) {
  const std::string hash = json.text(key);
  const bool good =
      hash.size() == kHashDigits && hash.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (good) return hash;
  throw FormatError(json.file(), concat("key '", key, "' is no SHA-256"))
      .expected("64 lower-case hexadecimal digits")
      .found(in_quotes(hash));
}

PackEntry read_pack(const Json& value, size_t index, const fs::path& file) {
  const JsonFields json(value, file, concat("packs[", index, "]"));
  PackEntry pack;
  pack.name = json.text("name");
  check_pack_name(pack.name, file);
  pack.first_expert = json.integer("first_expert", 0, kMostRows);
  pack.num_experts = json.integer("num_experts", 0, kMostRows);
  pack.first_vocab_row = json.integer("first_vocab_row", 0, kMostRows);
  pack.num_vocab_rows = json.integer("num_vocab_rows", 0, kMostRows);
  return pack;
}

/// Where vocabulary rows stand; a manifest without the keys is one of a base without spare rows.
void read_placement(const JsonFields& json, Manifest& manifest) {
  const int64_t num_base = manifest.base_vocab_rows;
  RowPlacement& placement = manifest.vocab_placement;
  if (json.has("first_vocab_row")) {
    placement.num_spare = num_base - json.integer("first_vocab_row", 1, num_base);
  }
  if (json.has("padding")) {
    const JsonFields padding(json.raw("padding"), json.file(), "padding");
    placement.num_padding = padding.integer("rows", 1, kMostRows);
    placement.padding_row = padding.integer("row", 0, num_base - placement.num_spare - 1);
  }
  if (json.has("displaced_rows_hash")) {
    manifest.displaced_rows_hash = read_hash(json, "displaced_rows_hash");
  }
}

/// Displaced rows are kept, and padding follows a matrix that has grown.
void check_placement(const Manifest& manifest, const fs::path& file) {
  const RowLayout layout = manifest.vocab_layout();
  if ((layout.num_displaced() > 0) == manifest.displaced_rows_hash.empty()) {
    throw FormatError(file, "the manifest contradicts itself on displaced vocabulary rows")
        .expected(layout.num_displaced() > 0 ? "key 'displaced_rows_hash'"
                                             : "no key 'displaced_rows_hash'")
        .found(concat(layout.num_displaced(), " base rows displaced by added ones"));
  }
  if (layout.placement.num_padding > 0 && layout.num_behind() > 0) {
    throw FormatError(file, "the manifest pads a vocabulary that has not grown")
        .expected("no key 'padding' while base rows are left behind the added ones")
        .found(concat(layout.num_behind(), " such rows"));
  }
}

/// Each pack begins where the one before it ends; the first begins after the base, or among its
/// vocabulary's spare rows.
void check_ranges(const Manifest& manifest, const fs::path& file) {
  int64_t next_expert = manifest.base_num_experts;
  int64_t next_row = manifest.vocab_layout().first_added();
  std::set<std::string> names;
  for (const PackEntry& pack : manifest.packs) {
    const std::string who = concat("pack ", in_quotes(pack.name));
    if (!names.insert(pack.name).second) throw FormatError(file, who + " is listed twice");
    if (pack.num_experts > 0 && pack.first_expert != next_expert) {
      throw FormatError(file, who + " does not begin where the experts before it end")
          .expected(concat("\"first_expert\": ", next_expert))
          .found(concat(pack.first_expert));
    }
    if (pack.num_vocab_rows > 0 && pack.first_vocab_row != next_row) {
      throw FormatError(file, who + " does not begin where the vocabulary rows before it end")
          .expected(concat("\"first_vocab_row\": ", next_row))
          .found(concat(pack.first_vocab_row));
    }
    next_expert += pack.num_experts;
    next_row += pack.num_vocab_rows;
  }
}

}  // namespace

int64_t Manifest::num_added_experts() const {
  int64_t sum = 0;
  for (const PackEntry& pack : packs) sum += pack.num_experts;
  return sum;
}

RowLayout Manifest::vocab_layout() const {
  int64_t num_added = 0;
  for (const PackEntry& pack : packs) num_added += pack.num_vocab_rows;
  return {base_vocab_rows, num_added, vocab_placement};
}

namespace {

OrderedJson packs_to_json(const std::vector<PackEntry>& packs) {
  OrderedJson list = OrderedJson::array();
  for (const PackEntry& pack : packs) {
    list.push_back({{"name", pack.name},
                    {"first_expert", pack.first_expert},
                    {"num_experts", pack.num_experts},
                    {"first_vocab_row", pack.first_vocab_row},
                    {"num_vocab_rows", pack.num_vocab_rows}});
  }
  return list;
}

}  // namespace

OrderedJson Manifest::to_json() const {
  OrderedJson json = {{"schema_version", kSchemaVersion},
                      {"tool_version", tool_version},
                      {"base_tensors_hash", base_tensors_hash},
                      {"base_tokenizer_hash", base_tokenizer_hash},
                      {"base_num_experts", base_num_experts},
                      {"base_vocab_rows", base_vocab_rows},
                      {"base_tied_embeddings", base_tied_embeddings}};
  if (vocab_placement.num_spare > 0) json["first_vocab_row"] = vocab_layout().first_added();
  if (vocab_placement.num_padding > 0) {
    json["padding"] = {{"rows", vocab_placement.num_padding}, {"row", vocab_placement.padding_row}};
  }
  if (!displaced_rows_hash.empty()) json["displaced_rows_hash"] = displaced_rows_hash;
  json["packs"] = packs_to_json(packs);
  json["provenance"] = *provenance;
  return json;
}

OrderedJson read_provenance(const OrderedJson& json, const fs::path& file) {
  auto provenance = json_get_or<OrderedJson>(json, "provenance", nullptr, file);
  if (provenance.is_object() || provenance.is_null()) return provenance;
  throw FormatError(file, "key 'provenance' is not an object").found(json_excerpt(provenance));
}

Manifest Manifest::from_json(const OrderedJson& json, const std::filesystem::path& file) {
  const Json plain = json;
  const JsonFields fields(plain, file);
  Manifest manifest;
  fields.require_schema(kSchemaVersion, "the manifest");
  manifest.tool_version = fields.text("tool_version");
  manifest.base_tensors_hash = read_hash(fields, "base_tensors_hash");
  manifest.base_tokenizer_hash = read_hash(fields, "base_tokenizer_hash");
  manifest.base_num_experts = fields.integer("base_num_experts", 0, kMostRows);
  manifest.base_vocab_rows = fields.integer("base_vocab_rows", 1, kMostRows);
  manifest.base_tied_embeddings = fields.flag("base_tied_embeddings");
  read_placement(fields, manifest);
  const Json& packs = fields.list("packs");
  for (size_t i = 0; i < packs.size(); ++i) manifest.packs.push_back(read_pack(packs[i], i, file));
  check_ranges(manifest, file);
  check_placement(manifest, file);
  manifest.provenance = read_provenance(json, file);
  return manifest;
}

}  // namespace polygraft::model
