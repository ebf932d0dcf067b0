// expand/packs/describe_pack.cpp: what a pack of an expanded model is, without its tensors.
#include <algorithm>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "expand/additions.h"
#include "expand/packs/base_snapshot.h"
#include "expand/packs/pack_vocabulary.h"
#include "expand/packs/stored_pack.h"

namespace polygraft::expand {

namespace {

using model::ModelFolder;
using model::PackEntry;

/// Donors by layer, where the manifest knows the plan.
std::map<int64_t, std::vector<int64_t>> donors_of(const OrderedJson& provenance,
                                                  const fs::path& file) {
  std::map<int64_t, std::vector<int64_t>> donors;
  const auto plan = provenance.find("plan");
  if (plan == provenance.end() || !plan->is_object() || !plan->contains("layers")) return donors;
  using List = std::vector<OrderedJson>;
  for (const OrderedJson& layer : json_get<List>(*plan, "layers", file)) {
    std::vector<int64_t>& experts = donors[json_get<int64_t>(layer, "layer", file)];
    for (const OrderedJson& donor : json_get<List>(layer, "donors", file)) {
      experts.push_back(json_get<int64_t>(donor, "expert", file));
    }
  }
  return donors;
}

/// What the plan padded a grown vocabulary to, where the manifest knows the plan; else 1.
int64_t pad_to_of(const OrderedJson& provenance, const fs::path& file) {
  const auto plan = provenance.find("plan");
  if (plan == provenance.end() || !plan->is_object()) return 1;
  const auto vocabulary = plan->find("vocabulary");
  if (vocabulary == plan->end() || !vocabulary->is_object()) return 1;
  return std::max<int64_t>(json_get_or<int64_t>(*vocabulary, "pad_to", 1, file), 1);
}

/// The description of a model's only pack, out of its manifest and tokenizer.
Pack describe_only_pack(const ModelFolder& expanded, const PackEntry& entry) {
  const model::Manifest& manifest = *expanded.manifest;
  Pack pack;
  pack.name = entry.name;
  pack.tool_version = manifest.tool_version;
  pack.base = {expanded.config.family,       manifest.base_tensors_hash,
               manifest.base_tokenizer_hash, manifest.base_num_experts,
               manifest.base_vocab_rows,     manifest.base_tied_embeddings};
  pack.untied_head = manifest.base_tied_embeddings && !expanded.config.tied_embeddings;
  pack.provenance = manifest.provenance;
  const fs::path file = expanded.path / model::kManifestFile;
  pack.pad_to = pad_to_of(*manifest.provenance, file);
  if (manifest.vocab_placement.num_padding > 0) {
    pack.padding_row = manifest.vocab_placement.padding_row;
  }
  const auto donors = donors_of(*manifest.provenance, file);
  for (const int64_t layer : AdditionShapes::of(expanded.config).moe_layers) {
    const auto known = donors.find(layer);
    pack.layers.push_back(
        {layer, entry.num_experts, known == donors.end() ? std::vector<int64_t>() : known->second});
  }
  if (entry.num_vocab_rows > 0) {
    const BaseSnapshot snapshot = BaseSnapshot::open(expanded.path);
    VocabularyLists lists = added_vocabulary(snapshot.files, expanded.path, entry.first_vocab_row,
                                             entry.num_vocab_rows);
    pack.tokens = std::move(lists.tokens);
    pack.merges = std::move(lists.merges);
  }
  return pack;
}

/// Whether a pack that came without output rows has some by now: in a model that another pack has
/// untied, training may have moved them away from the input rows.
bool has_output_rows(const ModelFolder& expanded, const PackEntry& entry) {
  const model::TensorNames& names = expanded.family->names;
  const bool could = expanded.manifest->base_tied_embeddings && !expanded.config.tied_embeddings;
  return could &&
         rows_of(expanded.tensors.get(names.embedding), entry.first_vocab_row,
                 entry.num_vocab_rows) !=
             rows_of(expanded.tensors.get(names.head), entry.first_vocab_row, entry.num_vocab_rows);
}

/// One of several: attaching left its description in the model. Training that came after concerns
/// all packs.
Pack read_attached_pack(const ModelFolder& expanded, const PackEntry& entry) {
  const fs::path file = expanded.path / kPacksFolder / entry.name / kPackFile;
  Pack pack = Pack::from_json(read_ordered_json(file), file);
  const model::Manifest& manifest = *expanded.manifest;
  if (pack.name != entry.name || pack.base.tensors_hash != manifest.base_tensors_hash ||
      pack.num_experts() != entry.num_experts || pack.num_vocab_rows() < entry.num_vocab_rows) {
    throw FormatError(file, concat("this is not the pack that ", model::kManifestFile, " lists"))
        .expected(concat("pack '", entry.name, "' of base ", manifest.base_tensors_hash, ", ",
                         entry.num_experts, " experts a layer"))
        .found(concat("pack '", pack.name, "' of base ", pack.base.tensors_hash, ", ",
                      pack.num_experts(), " experts a layer"));
  }
  pack.additions_hash.clear();
  pack.untied_head = pack.untied_head || has_output_rows(expanded, entry);
  if (!manifest.provenance->empty()) (*pack.provenance)["together"] = *manifest.provenance;
  return pack;
}

}  // namespace

Pack describe_pack(const ModelFolder& expanded, const PackEntry& entry) {
  const bool only = expanded.manifest->packs.size() == 1;
  return only ? describe_only_pack(expanded, entry) : read_attached_pack(expanded, entry);
}

}  // namespace polygraft::expand
