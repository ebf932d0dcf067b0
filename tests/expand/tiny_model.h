// tests/expand/tiny_model.h: tiny random mixture-of-experts folders, random additions to them, and
// their manifests.
#pragma once
#include <filesystem>
#include <string>

#include "expand/graft.h"

namespace polygraft::testing {

/// D 16, 3 layers of which the first is dense where the family has dense layers, 6 experts of width
/// 8, top-2, 96 vocabulary rows.
struct TinyModel {
  model::FolderLayout layout = model::ExpertLayout::kPerExpert;
  bool tied = true;
  std::string dtype = "bfloat16";  ///< "mixed": norms, routers and down projections float32,
                                   ///< all else bfloat16
  int64_t vocab_rows = 96;
  uint64_t seed = 5;
  std::string family = "qwen3_moe";
  bool renormalize = true;
  int64_t num_layers = 3;
};

OrderedJson tiny_config(const TinyModel& tiny);
/// config.json, generation_config.json and tensors; no tokenizer.
void write_tiny_base(const TinyModel& tiny, const std::filesystem::path& folder);

/// Whether a "mixed" base stores the tensor in float32.
bool is_wide(const std::string& name);

/// n experts in each MoE layer, v vocabulary rows; output rows apart when `own_head`.
expand::Additions random_additions(const model::ModelConfig& config, int64_t num_experts,
                                   int64_t num_vocab_rows, bool own_head, uint64_t seed = 3);

/// What write_expanded() needs for `additions` to `base`, as pack "id".
expand::ExpandedFolder describe(const model::ModelFolder& base, int64_t num_experts,
                                int64_t num_vocab_rows, bool untie_head);

/// Logits of a fixed batch, base rows only when additions are masked.
at::Tensor probe_logits(const model::Transformer& transformer, const model::Mask& mask);
bool same_bits(const at::Tensor& a, const at::Tensor& b);

/// SHA-256 over names and contents of all files below a folder.
std::string hash_folder(const std::filesystem::path& folder);

}  // namespace polygraft::testing
