// expand/write_expanded.cpp: base rows and additions streamed into one Hugging Face folder, in
// bounded memory. First a list of what each output tensor consists of (pure), then one pass that
// writes it. Legend: D model width, E base experts, n new experts, F expert width, G = 2F.
#include <ATen/ATen.h>

#include "core/background.h"
#include "core/error.h"
#include "core/json.h"
#include "core/mapped_pages.h"
#include "core/progress.h"
#include "core/stop.h"
#include "core/text.h"
#include "expand/addition_names.h"
#include "expand/additions.h"
#include "expand/packs/base_snapshot.h"
#include "expand/packs/stored_pack.h"
#include "expand/rounded_bytes.h"
#include "expand/tokenizer_files.h"
#include "model/checkpoint/displaced_rows.h"
#include "model/checkpoint/side_files.h"
#include "model/checkpoint/tensor_writer.h"
#include "model/checkpoint/tensors_hash.h"

namespace polygraft::expand {

namespace {

using model::ExpertLayout;
using model::ModelConfig;
using model::ModelFolder;
using model::TensorSpec;
using model::TensorView;

constexpr uint64_t kMostBytesWaiting = uint64_t{64} << 20;  // read or made, not yet written

using Packs = std::vector<Additions>;

using Pieces = std::vector<std::string_view>;

/// Rows that are there or are made, float32.
using Rows = std::function<at::Tensor()>;

/// Where an output tensor's bytes come from: stored rows, added rows, stored rows.
struct Sources {
  std::string stored;  ///< name in the source folder; its dtype is the output's
  Pieces before = {};
  std::vector<Rows> added = {};  ///< one after the other
  Pieces after = {};
};
using SourceMap = std::map<std::string, Sources>;

/// Rows of that name, pack after pack.
std::vector<Rows> added_rows(const Packs& packs, const std::string& name) {
  std::vector<Rows> rows;
  for (const Additions& additions : packs) {
    if (const auto found = additions.find(name); found != additions.end()) {
      rows.emplace_back([tensor = found->second] { return tensor; });
    }
  }
  return rows;
}

/// The layer's added experts, pack after pack: there, or made when called.
std::vector<std::function<Expert()>> added_experts(const Packs& packs, const ExpertMaker& make,
                                                   int64_t layer) {
  std::vector<std::function<Expert()>> experts;
  for (const Additions& additions : packs) {
    const auto found = additions.find(added_gate_up(layer));
    if (found == additions.end()) continue;
    const at::Tensor gate_up_nGD = found->second, down_nDF = additions.at(added_down(layer));
    for (int64_t j = 0; j < gate_up_nGD.size(0); ++j) {
      if (gate_up_nGD.is_meta()) {
        experts.emplace_back([&make, layer, j] { return make(layer, j); });
      } else {
        experts.emplace_back([=] { return Expert{gate_up_nGD[j], down_nDF[j]}; });
      }
    }
  }
  return experts;
}

/// The first rows: the base's, in all tensors but the vocabulary's.
Pieces leading_rows(const ModelFolder& source, const std::string& name, int64_t count) {
  const TensorView& stored = source.tensors.get(name);
  return {stored.bytes.substr(0, static_cast<size_t>(count * stored.row_bytes()))};
}

Sources vocabulary_sources(const ModelFolder& source, const std::string& stored,
                           const model::RowLayout& layout, std::vector<Rows> added) {
  const auto base_rows = [&](int64_t first, int64_t count) {
    return model::base_row_bytes(source, stored, first, count);
  };
  Sources sources{stored, base_rows(0, layout.first_added()), std::move(added),
                  base_rows(layout.end_displaced(), layout.num_behind())};
  for (int64_t i = 0; i < layout.placement.num_padding; ++i) {
    sources.after.push_back(base_rows(layout.placement.padding_row, 1).front());
  }
  return sources;
}

void add_vocabulary_sources(const ModelFolder& source, const Packs& packs,
                            const model::RowLayout& layout, bool tied, SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  map[names.embedding] =
      vocabulary_sources(source, names.embedding, layout, added_rows(packs, kAddedEmbedding));
  if (tied) return;
  // Untying: the old output rows are the old input rows, bit for bit.
  const std::string stored = source.config.tied_embeddings ? names.embedding : names.head;
  map[names.head] = vocabulary_sources(source, stored, layout, added_rows(packs, kAddedHead));
}

void add_fused_sources(const ModelFolder& source, const Packs& packs, const ExpertMaker& make,
                       int64_t layer, SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  const int64_t num_experts = source.num_base_experts();
  const std::string gate_up = model::fill(names.fused_gate_up, layer);
  const std::string down = model::fill(names.fused_down, layer);
  map[gate_up] = {gate_up, leading_rows(source, gate_up, num_experts)};
  map[down] = {down, leading_rows(source, down, num_experts)};
  for (const auto& expert : added_experts(packs, make, layer)) {
    map[gate_up].added.emplace_back([expert] { return expert().gate_up_GD; });
    map[down].added.emplace_back([expert] { return expert().down_DF; });
  }
}

/// New experts are tensors of their own; the first expert's tensor gives them their dtype.
void add_per_expert_sources(const ModelFolder& source, const Packs& packs, const ExpertMaker& make,
                            int64_t layer, SourceMap& map) {
  const model::TensorNames& names = source.family->names;
  const int64_t expert_width = source.config.expert_width;
  int64_t index = source.num_base_experts();
  for (const auto& expert : added_experts(packs, make, layer)) {
    const auto add = [&](const std::string& name_template, Rows rows) {
      map[model::fill(name_template, layer, index)] = {
          model::fill(name_template, layer, 0), {}, {std::move(rows)}};
    };
    add(names.expert_gate, [=] { return expert().gate_up_GD.narrow(0, 0, expert_width); });
    add(names.expert_up, [=] { return expert().gate_up_GD.narrow(0, expert_width, expert_width); });
    add(names.expert_down, [expert] { return expert().down_DF; });
    ++index;
  }
}

SourceMap map_sources(const ModelFolder& source, const Packs& packs, const ExpertMaker& make,
                      const model::RowLayout& vocab, bool tied) {
  SourceMap map;
  add_vocabulary_sources(source, packs, vocab, tied, map);
  for (const int64_t layer : AdditionShapes::of(source.config).moe_layers) {
    const ExpertLayout layout = source.layout.of(layer);
    const std::string router = model::fill(source.family->names.router_of(layout), layer);
    map[router] = {router, leading_rows(source, router, source.num_base_experts()),
                   added_rows(packs, added_router(layer))};
    if (layout == ExpertLayout::kFused) {
      add_fused_sources(source, packs, make, layer, map);
    } else {
      add_per_expert_sources(source, packs, make, layer, map);
    }
  }
  return map;
}

Sources sources_of(const std::string& name, const ModelFolder& source, const SourceMap& map) {
  const auto found = map.find(name);
  return found != map.end() ? found->second : Sources{name, {source.tensors.get(name).bytes}};
}

/// The base's own tensor of that name, in pieces; none for what the base does not have.
Pieces base_pieces(const ModelFolder& source, const std::string& name, const Sources& sources) {
  const model::TensorNames& names = source.family->names;
  if (sources.stored != name) return {};  // an added expert
  if (name == names.head && source.base_is_tied()) return {};
  const bool is_vocabulary = name == names.embedding || name == names.head;
  if (!is_vocabulary) return sources.before;
  return model::base_row_bytes(source, name, 0, source.num_base_vocab_rows());
}

void hash_base_tensor(const ModelFolder& source, TensorSpec spec, const Sources& sources,
                      model::BackgroundTensorsHash& hash) {
  const Pieces pieces = base_pieces(source, spec.name, sources);
  if (pieces.empty()) return;
  const TensorView& stored = source.tensors.get(spec.name);
  spec.shape = stored.shape;
  if (stored.row_bytes() > 0) {
    size_t num_bytes = 0;
    for (const std::string_view piece : pieces) num_bytes += piece.size();
    spec.shape[0] = static_cast<int64_t>(num_bytes) / stored.row_bytes();
  }
  hash.add(std::move(spec), pieces);
}

/// @return hash_tensors() of the base.
std::string write_tensors(const ModelFolder& source, const ModelConfig& config,
                          const SourceMap& map, const std::filesystem::path& out) {
  std::vector<TensorSpec> specs = model::expected_tensors(config, source.layout);
  uint64_t total_bytes = 0;
  for (TensorSpec& spec : specs) {
    spec.dtype = source.tensors.get(sources_of(spec.name, source, map).stored).dtype;
    total_bytes += spec.num_bytes();
  }
  model::TensorWriter writer(out, specs);
  Progress progress("writing the expanded model", total_bytes, "bytes");
  model::BackgroundTensorsHash hash;
  BackgroundWork writing(kMostBytesWaiting);
  const auto append = [&](const TensorSpec& spec, const Pieces& pieces) {
    for (const std::string_view rows : pieces) {
      writing.add(rows.size(), [&writer, &spec, rows] {
        writer.append(spec.name, rows);
        release_pages(rows);
      });
    }
  };
  for (const TensorSpec& spec : specs) {
    throw_if_stopped();
    const Sources parts = sources_of(spec.name, source, map);
    hash_base_tensor(source, spec, parts, hash);
    append(spec, parts.before);
    for (const Rows& rows : parts.added) {
      std::string made = rounded_bytes(rows(), spec.dtype);
      const size_t num_bytes = made.size();
      writing.add(num_bytes,
                  [&writer, &spec, made = std::move(made)] { writer.append(spec.name, made); });
    }
    append(spec, parts.after);
    progress.advance(spec.num_bytes());
  }
  writing.finish();
  writer.finish();
  progress.finish();
  return hash.finish();
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

/// Keeps the base rows that lose their places. @return the manifest with their hash.
model::Manifest keep_displaced_rows(const ModelFolder& source, model::Manifest manifest,
                                    const std::filesystem::path& out) {
  // What carry_base() brought along may be of other additions.
  std::filesystem::remove(out / model::kBaseFolder / model::kDisplacedRowsFile);
  manifest.displaced_rows_hash = model::write_displaced_rows(source, manifest.vocab_layout(), out);
  return manifest;
}

void check_manifest(const model::Manifest& manifest, const ModelFolder& source,
                    const AdditionCounts& counts) {
  const int64_t num_experts = manifest.num_added_experts();
  const int64_t num_vocab_rows = manifest.vocab_layout().num_added;
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

std::string write_expanded(const ModelFolder& source, const Additions& additions,
                           const ExpandedFolder& expanded, const std::filesystem::path& out) {
  return write_expanded(source, Packs{additions}, expanded, out);
}

std::string write_expanded(const ModelFolder& source, const Packs& packs,
                           const ExpandedFolder& expanded, const std::filesystem::path& out) {
  const AdditionCounts counts = count_all(packs, AdditionShapes::of(source.config));
  check_manifest(expanded.manifest, source, counts);
  if (counts.has_head && source.config.tied_embeddings && !expanded.untie_head) {
    throw NotComparable(kAddedHead, "output rows of their own for a head that is to stay tied")
        .hint("set untie_head, or leave the output rows out");
  }
  ModelConfig config = source.config;
  config.num_experts = source.num_base_experts() + counts.num_experts;
  const model::RowLayout vocab = expanded.manifest.vocab_layout();
  config.vocab_rows = vocab.num_rows();
  config.tied_embeddings = source.config.tied_embeddings && !expanded.untie_head;
  if (!config.tied_embeddings && counts.num_vocab_rows > 0 && !counts.has_head) {
    throw NotComparable(kAddedHead, "an untied head needs output rows for the new vocabulary");
  }
  create_folders(out);
  const SourceMap map =
      map_sources(source, packs, expanded.make_expert, vocab, config.tied_embeddings);
  std::string base_hash = write_tensors(source, config, map, out);
  write_json(out / "config.json", edited_config(*source.config_json, config));
  const bool new_tokenizer = !expanded.tokenizer.empty();
  model::copy_side_files(source.path, out, /*without_tokenizer=*/new_tokenizer);
  if (new_tokenizer) copy_tokenizer_files(expanded.tokenizer, out);
  carry_base(source, expanded.base_snapshot_of, out);
  const model::Manifest manifest = keep_displaced_rows(source, expanded.manifest, out);
  write_json(out / model::kManifestFile, manifest.to_json());
  return base_hash;
}

}  // namespace polygraft::expand
