// model/checkpoint/layout_check.cpp: see layout_check.h.
#include "model/checkpoint/layout_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"
#include "model/checkpoint/expected_tensors.h"

namespace polygraft::model {
namespace {

constexpr const char* kHalfConverted =
    "the folder may be half converted; fetch or convert the model again";

/// How many experts of a layer have tensors of their own, or rows in the fused tensor.
int64_t count_experts(const TensorNames& names, const TensorFolder& tensors, int64_t layer) {
  const std::string fused = fill(names.fused_gate_up, layer);
  if (tensors.contains(fused)) {
    const auto& shape = tensors.get(fused).shape;
    return shape.empty() ? 0 : shape[0];
  }
  int64_t count = 0;
  while (tensors.contains(fill(names.expert_gate, layer, count))) ++count;
  return count;
}

std::string hint_for(const ModelConfig& config, const TensorFolder& tensors) {
  const auto first_moe = std::find(config.layer_is_moe.begin(), config.layer_is_moe.end(), true);
  if (first_moe == config.layer_is_moe.end()) return kHalfConverted;
  const TensorNames& names = find_family(config.family).names;
  const int64_t present = count_experts(names, tensors, first_moe - config.layer_is_moe.begin());
  if (present == config.num_experts) return kHalfConverted;
  return concat("the folder may be half converted; compare num_experts (", config.num_experts,
                ") with the experts present (", present, ")");
}

std::string shape_with_meaning(const TensorSpec& spec, std::string_view meaning) {
  return concat(shape_text(spec.shape), " (", meaning, " of config.json)");
}

void check_one(const TensorSpec& spec, std::string_view meaning, const ModelConfig& config,
               const TensorFolder& tensors) {
  if (!tensors.contains(spec.name)) {
    throw FormatError(tensors.folder(), concat("tensor ", in_quotes(spec.name), " is missing"))
        .expected(shape_with_meaning(spec, meaning))
        .hint(hint_for(config, tensors));
  }
  const TensorView& view = tensors.get(spec.name);
  if (view.shape == spec.shape) return;
  throw FormatError(view.file, concat("tensor ", in_quotes(spec.name), " has the wrong shape"))
      .expected(shape_with_meaning(spec, meaning))
      .found(shape_text(view.shape))
      .hint(hint_for(config, tensors));
}

/// A tied head that is stored nevertheless is harmless if it is the embedding, and untied weights
/// under a tied config if not.
void check_stored_copy(const std::string& head, const std::string& embedding,
                       const TensorFolder& tensors) {
  const TensorView& copy = tensors.get(head);
  const TensorView& original = tensors.get(embedding);
  if (copy.dtype == original.dtype && copy.shape == original.shape && copy.bytes == original.bytes)
    return;
  throw FormatError(copy.file,
                    concat("tensor ", in_quotes(head), " differs from ", in_quotes(embedding)))
      .expected("the same bytes, since config.json says tie_word_embeddings: true")
      .hint("set tie_word_embeddings to false if the model was trained with a head of its own");
}

bool has_ignored_suffix(const std::string& name, const Family& family) {
  return std::any_of(family.ignored_suffixes.begin(), family.ignored_suffixes.end(),
                     [&](const std::string& suffix) { return name.ends_with(suffix); });
}

}  // namespace

FolderLayout detect_expert_layout(const ModelConfig& config, const TensorFolder& tensors) {
  const TensorNames& names = find_family(config.family).names;
  std::vector<ExpertLayout> layers;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    layers.push_back(ExpertLayout::kNone);
    if (!config.layer_is_moe[static_cast<size_t>(layer)]) continue;
    const bool fused = tensors.contains(fill(names.fused_gate_up, layer)) ||
                       tensors.contains(fill(names.fused_down, layer));
    const bool per_expert = tensors.contains(fill(names.expert_gate, layer, 0)) ||
                            tensors.contains(fill(names.expert_down, layer, 0));
    if (fused && per_expert) {
      throw FormatError(tensors.folder(), "some experts are stored one by one and some fused")
          .expected("one layout for all experts of a layer")
          .found(concat("both in layer ", layer))
          .hint(kHalfConverted);
    }
    layers.back() = fused ? ExpertLayout::kFused : ExpertLayout::kPerExpert;
  }
  return FolderLayout(layers);
}

void check_tensors(const ModelConfig& config, const FolderLayout& layout, TensorFolder& tensors) {
  std::set<std::string> expected;
  visit_expected_tensors(config, layout, [&](const TensorSpec& spec, std::string_view meaning) {
    check_one(spec, meaning, config, tensors);
    expected.insert(spec.name);
  });
  const Family& family = find_family(config.family);
  const std::vector<std::string> present = tensors.names();
  for (const std::string& name : present) {
    if (expected.count(name) != 0) continue;
    if (name == family.names.head) {
      check_stored_copy(name, family.names.embedding, tensors);
    } else if (!has_ignored_suffix(name, family)) {
      throw FormatError(tensors.get(name).file,
                        concat("tensor ", in_quotes(name), " has no place in this model"))
          .expected(
              concat("the tensors of a ", family.architecture, " as config.json describes it"))
          .found(shape_text(tensors.get(name).shape))
          .hint(hint_for(config, tensors));
    }
    tensors.drop(name);
  }
}

Dtype stored_dtype(const TensorFolder& tensors) {
  std::map<Dtype, uint64_t> bytes;
  for (const std::string& name : tensors.names()) {
    const TensorView& view = tensors.get(name);
    if (view.dtype != Dtype::kF32 && view.dtype != Dtype::kF16 && view.dtype != Dtype::kBF16) {
      throw NotBuiltError(concat("weights of type ", dtype_name(view.dtype)))
          .expected("F32, F16 or BF16")
          .found(concat(in_quotes(name), " in ", tensors.folder().string()));
    }
    bytes[view.dtype] += view.bytes.size();
  }
  return std::max_element(bytes.begin(), bytes.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

}  // namespace polygraft::model
