// expand/write_expanded.cpp: base rows and additions streamed into one Hugging Face folder, in
// bounded memory. First a list of what each output tensor consists of (pure), then one pass that
// writes it. Legend: D model width, E base experts, n new experts, F expert width, G = 2F.
#include <ATen/ATen.h>

#include "core/error.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/additions.h"
#include "expand/packs/base_snapshot.h"
#include "expand/packs/stored_pack.h"
#include "expand/rounded_bytes.h"
#include "expand/tokenizer_files.h"
#include "model/checkpoint/tensor_writer.h"

namespace polygraft::expand {

namespace {

using model::ExpertLayout;
using model::ModelConfig;
using model::ModelFolder;
using model::TensorSpec;
using model::TensorView;

using Packs = std::vector<Additions>;

/// Where an output tensor's bytes come from: leading rows of a stored tensor, then added rows.
struct Sources {
  std::string stored;             ///< name in the source folder; its dtype is the output's
  int64_t num_rows = 0;           ///< leading rows of `stored` that are kept, or kAllRows
  std::vector<at::Tensor> added;  ///< one after the other
};
constexpr int64_t kAllRows = -1;
using SourceMap = std::map<std::string, Sources>;

/// Rows of that name, pack after pack.
std::vector<at::Tensor> added_rows(const Packs& packs, const std::string& name) {
  std::vector<at::Tensor> rows;
  for (const Additions& additions : packs) {
    if (const auto found = additions.find(name); found != additions.end()) {
      rows.push_back(found->second);
    }
  }
  return rows;
}

void add_vocabulary_sources(const ModelFolder& source, const Packs& packs, bool tied,
                            SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  const int64_t num_rows = source.num_base_vocab_rows();
  map[names.embedding] = {names.embedding, num_rows, added_rows(packs, kAddedEmbedding)};
  if (tied) return;
  // Untying: the old output rows are the old input rows, bit for bit.
  const std::string stored = source.config.tied_embeddings ? names.embedding : names.head;
  map[names.head] = {stored, num_rows, added_rows(packs, kAddedHead)};
}

void add_fused_sources(const ModelFolder& source, const Packs& packs, int64_t layer,
                       SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  const int64_t num_experts = source.num_base_experts();
  const std::string gate_up = model::fill(names.fused_gate_up, layer);
  const std::string down = model::fill(names.fused_down, layer);
  map[gate_up] = {gate_up, num_experts, added_rows(packs, added_gate_up(layer))};
  map[down] = {down, num_experts, added_rows(packs, added_down(layer))};
}

/// New experts are tensors of their own; the first expert's tensor gives them their dtype.
void add_per_expert_sources(const ModelFolder& source, const Packs& packs, int64_t layer,
                            SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  const int64_t expert_width = source.config.expert_width;
  int64_t expert = source.num_base_experts();
  for (const Additions& additions : packs) {
    const auto gate_up = additions.find(added_gate_up(layer));
    if (gate_up == additions.end()) continue;
    const at::Tensor& gate_up_nGD = gate_up->second;
    const at::Tensor& down_nDF = additions.at(added_down(layer));
    for (int64_t j = 0; j < gate_up_nGD.size(0); ++j, ++expert) {
      const auto add = [&](const std::string& name_template, const at::Tensor& rows) {
        map[model::fill(name_template, layer, expert)] = {
            model::fill(name_template, layer, 0), 0, {rows}};
      };
      add(names.expert_gate, gate_up_nGD[j].narrow(0, 0, expert_width));
      add(names.expert_up, gate_up_nGD[j].narrow(0, expert_width, expert_width));
      add(names.expert_down, down_nDF[j]);
    }
  }
}

SourceMap map_sources(const ModelFolder& source, const Packs& packs, bool tied) {
  SourceMap map;
  add_vocabulary_sources(source, packs, tied, map);
  for (const int64_t layer : AdditionShapes::of(source.config).moe_layers) {
    const ExpertLayout layout = source.layout.of(layer);
    const std::string router = model::fill(source.family->names.router_of(layout), layer);
    map[router] = {router, source.num_base_experts(), added_rows(packs, added_router(layer))};
    if (layout == ExpertLayout::kFused) {
      add_fused_sources(source, packs, layer, map);
    } else {
      add_per_expert_sources(source, packs, layer, map);
    }
  }
  return map;
}

Sources sources_of(const std::string& name, const SourceMap& map) {
  const auto found = map.find(name);
  return found != map.end() ? found->second : Sources{name, kAllRows, {}};
}

std::string_view leading_rows(const TensorView& stored, int64_t num_rows) {
  if (num_rows == kAllRows) return stored.bytes;
  return stored.bytes.substr(0, static_cast<size_t>(num_rows * stored.row_bytes()));
}

void write_tensors(const ModelFolder& source, const ModelConfig& config, const SourceMap& map,
                   const std::filesystem::path& out) {
  std::vector<TensorSpec> specs = model::expected_tensors(config, source.layout);
  uint64_t total_bytes = 0;
  for (TensorSpec& spec : specs) {
    spec.dtype = source.tensors.get(sources_of(spec.name, map).stored).dtype;
    total_bytes += spec.num_bytes();
  }
  model::TensorWriter writer(out, specs);
  Progress progress("writing the expanded model", total_bytes, "bytes");
  for (const TensorSpec& spec : specs) {
    throw_if_stopped();
    const Sources parts = sources_of(spec.name, map);
    const TensorView& stored = source.tensors.get(parts.stored);
    writer.append(spec.name, leading_rows(stored, parts.num_rows));
    for (const at::Tensor& rows : parts.added) {
      writer.append(spec.name, rounded_bytes(rows, spec.dtype));
    }
    progress.advance(spec.num_bytes());
  }
  writer.finish();
  progress.finish();
}

/// config.json as read, changed only where the expansion changes it.
OrderedJson edited_config(const OrderedJson& original, const ModelConfig& config) {
  OrderedJson edited = original;
  bool counted = false;
  for (const char* key : {"num_experts", "num_local_experts"}) {
    if (!edited.contains(key)) continue;
    edited[key] = config.num_experts;
    counted = true;
  }
  // A silent config means the family's default, which is the base's count.
  if (!counted) {
    edited[model::find_family(config.family).switches.num_experts_key] = config.num_experts;
  }
  edited["vocab_size"] = config.vocab_rows;
  // Families differ in what a missing key means, so an untied head is always stated.
  if (edited.contains("tie_word_embeddings") || !config.tied_embeddings) {
    edited["tie_word_embeddings"] = config.tied_embeddings;
  }
  return edited;
}

/// What lets packs be taken out of the result again.
void carry_base(const ModelFolder& source, const std::filesystem::path& snapshot_of,
                const std::filesystem::path& out) {
  if (!snapshot_of.empty()) {
    copy_part(snapshot_of, kBaseFolder, out);
  } else if (source.manifest) {
    copy_part(source.path, kBaseFolder, out);
    copy_part(source.path, kPacksFolder, out);
  } else {
    write_base_snapshot(source, out);
  }
}

void check_manifest(const model::Manifest& manifest, const ModelFolder& source,
                    const AdditionCounts& counts) {
  int64_t num_experts = 0, num_vocab_rows = 0;
  for (const model::PackEntry& pack : manifest.packs) {
    num_experts += pack.num_experts;
    num_vocab_rows += pack.num_vocab_rows;
  }
  if (manifest.base_num_experts == source.num_base_experts() &&
      manifest.base_vocab_rows == source.num_base_vocab_rows() &&
      num_experts == counts.num_experts && num_vocab_rows == counts.num_vocab_rows) {
    return;
  }
  const auto describe = [](int64_t experts, int64_t added_experts, int64_t rows, int64_t added) {
    return concat(experts, " + ", added_experts, " experts and ", rows, " + ", added,
                  " vocabulary rows");
  };
  throw NotComparable(model::kManifestFile, "the manifest does not describe base and additions")
      .expected(describe(source.num_base_experts(), counts.num_experts,
                         source.num_base_vocab_rows(), counts.num_vocab_rows))
      .found(describe(manifest.base_num_experts, num_experts, manifest.base_vocab_rows,
                      num_vocab_rows));
}

/// What all packs add together. @throws NotComparable as check_additions() does.
AdditionCounts count_all(const Packs& packs, const AdditionShapes& shapes) {
  AdditionCounts sum;
  for (const Additions& additions : packs) {
    const AdditionCounts counts = check_additions(additions, shapes);
    sum.num_experts += counts.num_experts;
    sum.num_vocab_rows += counts.num_vocab_rows;
    sum.has_head = sum.has_head || counts.has_head;
  }
  return sum;
}

}  // namespace

void write_expanded(const ModelFolder& source, const Additions& additions,
                    const ExpandedFolder& expanded, const std::filesystem::path& out) {
  write_expanded(source, Packs{additions}, expanded, out);
}

void write_expanded(const ModelFolder& source, const Packs& packs, const ExpandedFolder& expanded,
                    const std::filesystem::path& out) {
  const AdditionCounts counts = count_all(packs, AdditionShapes::of(source.config));
  check_manifest(expanded.manifest, source, counts);
  if (counts.has_head && source.config.tied_embeddings && !expanded.untie_head) {
    throw NotComparable(kAddedHead, "output rows of their own for a head that is to stay tied")
        .hint("set untie_head, or leave the output rows out");
  }
  ModelConfig config = source.config;
  config.num_experts = source.num_base_experts() + counts.num_experts;
  config.vocab_rows = source.num_base_vocab_rows() + counts.num_vocab_rows;
  config.tied_embeddings = source.config.tied_embeddings && !expanded.untie_head;
  if (!config.tied_embeddings && counts.num_vocab_rows > 0 && !counts.has_head) {
    throw NotComparable(kAddedHead, "an untied head needs output rows for the new vocabulary");
  }
  create_folders(out);
  const SourceMap map = map_sources(source, packs, config.tied_embeddings);
  write_tensors(source, config, map, out);
  write_json(out / "config.json", edited_config(source.config_json, config));
  const bool new_tokenizer = !expanded.tokenizer.empty();
  model::copy_side_files(source.path, out, /*without_tokenizer=*/new_tokenizer);
  if (new_tokenizer) copy_tokenizer_files(expanded.tokenizer, out);
  carry_base(source, expanded.base_snapshot_of, out);
  write_json(out / model::kManifestFile, expanded.manifest.to_json());
}

}  // namespace polygraft::expand
