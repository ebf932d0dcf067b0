// expand/packs/composition.cpp: see composition.h.
#include "expand/packs/composition.h"

#include <algorithm>

#include "core/error.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/additions.h"
#include "expand/place_rows.h"

namespace polygraft::expand {

namespace {

/// The packs' canonical order.
void sort_by_name(std::vector<OpenPack>& packs) {
  std::sort(packs.begin(), packs.end(),
            [](const OpenPack& a, const OpenPack& b) { return a.pack.name < b.pack.name; });
  for (size_t i = 1; i < packs.size(); ++i) {
    if (packs[i].pack.name != packs[i - 1].pack.name) continue;
    throw NotComparable(packs[i].folder.string(),
                        concat("there are two packs '", packs[i].pack.name, "'"))
        .hint("a model has one pack of each name; detach the old one first");
  }
}

/// The tensors have the rows that pack.json speaks of, and the shapes that the base gives them.
void check_fits(const OpenPack& open, const model::ModelFolder& base) {
  const AdditionShapes shapes = AdditionShapes::of(base.config);
  const AdditionCounts counts = check_additions(open.additions, shapes);
  const Pack& pack = open.pack;
  const bool has_head = pack.has_head() && !pack.tokens.empty();
  if (counts.num_experts == pack.num_experts() && counts.num_vocab_rows == pack.num_vocab_rows() &&
      counts.has_head == has_head) {
    return;
  }
  throw FormatError(open.folder / kPackTensors, concat("not the rows that ", kPackFile, " lists"))
      .expected(concat(pack.num_experts(), " experts a layer, ", pack.num_vocab_rows(),
                       " vocabulary rows", has_head ? " and output rows" : ""))
      .found(concat(counts.num_experts, " experts a layer, ", counts.num_vocab_rows,
                    " vocabulary rows", counts.has_head ? " and output rows" : ""));
}

/// What the model stores of a pack: all but shadowed rows, and output rows of every pack once one
/// has them. A pack without them was tied: its output rows are its input rows.
Additions stored_additions(const OpenPack& open, const std::vector<int64_t>& stored_rows,
                           bool with_head) {
  Additions additions = open.additions;
  if (additions.count(kAddedEmbedding) == 0) return additions;
  if (with_head && additions.count(kAddedHead) == 0) {
    additions[kAddedHead] = additions.at(kAddedEmbedding);
  }
  if (static_cast<int64_t>(stored_rows.size()) == open.pack.num_vocab_rows()) return additions;
  const at::Tensor index = at::tensor(stored_rows, at::kLong);
  for (const char* name : {kAddedEmbedding, kAddedHead}) {
    const auto found = additions.find(name);
    if (found == additions.end()) continue;
    if (stored_rows.empty()) {
      additions.erase(found);
    } else {
      found->second = found->second.index_select(0, index);
    }
  }
  return additions;
}

/// Where a graft of all these rows would put them. The padding is the strictest pack's, and copies
/// the row that the first pack with padding copies. Packs that needed none by themselves name no
/// row, and together they get none either: a row of some token would take what is that token's.
model::RowPlacement place_packs(const std::vector<OpenPack>& packs, int64_t num_base_rows,
                                int64_t num_base_tokens, int64_t num_added) {
  if (num_added > 0 && num_base_rows < num_base_tokens) {
    throw NotComparable(packs.front().folder.string(),
                        "the base has fewer vocabulary rows than its tokenizer has tokens")
        .expected(concat("at least ", num_base_tokens, " rows"))
        .found(concat(num_base_rows))
        .hint("a pack's tokens follow the base's last one, so that each of these must have a row");
  }
  int64_t pad_to = 1;
  for (const OpenPack& open : packs) pad_to = std::max(pad_to, open.pack.pad_to);
  model::RowPlacement placement =
      place_rows(num_base_rows, num_base_tokens, num_added, pad_to).placement;
  if (placement.num_padding == 0) return placement;
  for (const OpenPack& open : packs) {
    if (open.pack.padding_row < 0) continue;
    placement.padding_row = open.pack.padding_row;
    if (placement.padding_row >= num_base_tokens) {
      throw FormatError(open.folder, "padding rows copy a row that is no token of the base")
          .expected(concat("a row below ", num_base_tokens))
          .found(concat(placement.padding_row));
    }
    return placement;
  }
  placement.num_padding = 0;
  return placement;
}

/// A single pack's provenance is the model's; several keep theirs in the packs' own folders.
model::Manifest describe(const model::ModelFolder& base, const Composition& composition,
                         int64_t num_base_tokens) {
  model::Manifest manifest;
  const Pack& first = composition.packs.front().pack;
  manifest.tool_version = first.tool_version;
  manifest.base_tensors_hash = first.base.tensors_hash;
  manifest.base_tokenizer_hash = first.base.tokenizer_hash;
  manifest.base_num_experts = base.num_base_experts();
  manifest.base_vocab_rows = base.num_base_vocab_rows();
  manifest.base_tied_embeddings = first.base.tied_embeddings;
  const auto num_added = static_cast<int64_t>(composition.vocabulary.additions.tokens.size());
  manifest.vocab_placement =
      place_packs(composition.packs, manifest.base_vocab_rows, num_base_tokens, num_added);
  const model::RowLayout layout{manifest.base_vocab_rows, num_added, manifest.vocab_placement};
  int64_t next_expert = manifest.base_num_experts, next_row = layout.first_added();
  for (size_t i = 0; i < composition.packs.size(); ++i) {
    const Pack& pack = composition.packs[i].pack;
    const auto num_rows = static_cast<int64_t>(composition.vocabulary.stored[i].size());
    manifest.packs.push_back({pack.name, next_expert, pack.num_experts(), next_row, num_rows});
    next_expert += pack.num_experts();
    next_row += num_rows;
  }
  if (composition.packs.size() == 1) manifest.provenance = first.provenance;
  return manifest;
}

}  // namespace

Composition compose(const model::ModelFolder& base, std::vector<OpenPack> packs,
                    int64_t num_base_tokens) {
  Composition composition;
  sort_by_name(packs);
  std::vector<const Pack*> in_order;
  bool any_head = false;
  for (const OpenPack& open : packs) {
    check_fits(open, base);
    in_order.push_back(&open.pack);
    any_head = any_head || open.pack.has_head();
  }
  composition.vocabulary = lay_out_vocabulary(in_order, num_base_tokens);
  composition.packs = std::move(packs);
  for (size_t i = 0; i < composition.packs.size(); ++i) {
    composition.additions.push_back(
        stored_additions(composition.packs[i], composition.vocabulary.stored[i], any_head));
    composition.untie_head = composition.untie_head || composition.packs[i].pack.untied_head;
  }
  composition.manifest = describe(base, composition, num_base_tokens);
  return composition;
}

model::ModelConfig config_with(const Composition& composition, model::ModelConfig base) {
  const model::Manifest& manifest = composition.manifest;
  int64_t num_added = 0;
  for (const model::PackEntry& pack : manifest.packs) {
    base.num_experts += pack.num_experts;
    num_added += pack.num_vocab_rows;
  }
  base.vocab_rows =
      model::RowLayout{manifest.base_vocab_rows, num_added, manifest.vocab_placement}.num_rows();
  if (composition.untie_head) base.tied_embeddings = false;
  return base;
}

namespace {

/// Rows of all packs in one tensor each, as set_additions() takes them.
Additions joined(const std::vector<Additions>& packs, bool with_head) {
  std::map<std::string, std::vector<at::Tensor>> rows;
  for (const Additions& additions : packs) {
    for (const auto& [name, tensor] : additions) rows[name].push_back(tensor);
  }
  Additions all;
  for (const auto& [name, tensors] : rows) all[name] = at::cat(tensors);
  if (with_head && all.count(kAddedEmbedding) != 0 && all.count(kAddedHead) == 0) {
    all[kAddedHead] = all.at(kAddedEmbedding);
  }
  return all;
}

}  // namespace

void place_vocabulary(model::Weights& weights, const model::RowPlacement& placement) {
  weights.embedding.placement = placement;
  weights.head.placement = placement;
}

void put_on(const Composition& composition, model::Weights& weights) {
  place_vocabulary(weights, composition.manifest.vocab_placement);
  set_additions(weights, joined(composition.additions, !weights.tied));
}

}  // namespace polygraft::expand
