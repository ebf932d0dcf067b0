// model/architecture/weights.h: a model's weights as tensors, base rows and added rows kept apart.
// Apart, because (1) with additions masked the base's products have the base's shapes, hence the
// base's bits; (2) only the added part carries gradients, so that a frozen row has no gradient, no
// optimizer state and no weight decay. Legend: D model width, E base experts, n added experts, F
// expert width, G = 2F (gate rows first, then up), V base vocabulary rows, v added vocabulary rows.
#pragma once
#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "model/checkpoint/model_folder.h"

namespace polygraft::model {

/// Rows of one logical tensor: base rows and added rows, `added` undefined when there are none.
/// Added rows follow the base's, unless `placement` puts them elsewhere (vocabulary rows alone).
struct SplitRows {
  at::Tensor base;  ///< all of the base's rows, displaced ones too
  at::Tensor added;
  RowPlacement placement = {};
  /// Experts used where a checkpoint keeps them one by one: the same number of matrices for each
  /// expert, in order along its rows. `base` then has the shape alone (a meta tensor); `added` too
  /// where the added experts' matrices follow.
  std::vector<at::Tensor> pieces = {};
  /// On a GPU, experts alone: added and base matrices in one tensor, in that order. `base` is a
  /// part of it, `added` is what trains, and Weights::fill_banks() copies it there. Where ranks
  /// share experts out, a bank has this rank's alone, and so has `base`; `added` is whole.
  at::Tensor bank = {};
  int64_t first_in_bank = 0;  ///< of the added ones

  int64_t num_added_in_bank() const { return bank.size(0) - base.size(0); }
  int64_t num_base() const { return base.size(0); }
  int64_t num_added() const { return added.defined() ? added.size(0) : 0; }
  RowLayout layout() const { return {num_base(), num_added(), placement}; }
  /// Row `i` (base rows first) as products want it: in `dtype`, converted if it lies in a file.
  at::Tensor row(int64_t i, at::ScalarType dtype) const;
  /// The matrices of expert `i` among the pieces; none for one that is not kept there.
  std::vector<at::Tensor> pieces_of(int64_t i) const;
  /// Other added rows, or none (an undefined tensor).
  void set_added(at::Tensor rows);
};

struct AttentionWeights {
  at::Tensor norm;  // [D]
  at::Tensor query, key, value,
      output;  // [heads*head_dim, D], [kv*head_dim, D] x2, [D, heads*head_dim]
  at::Tensor query_bias, key_bias, value_bias, output_bias;  // undefined where the family has none
  // [head_dim], or as long as the projection (QkNorm); undefined where the family has none
  at::Tensor query_norm, key_norm;
};

struct DenseWeights {
  at::Tensor gate, up, down;                 // [F, D], [F, D], [D, F]
  at::Tensor gate_bias, up_bias, down_bias;  // undefined where the family has none
};

struct MoeWeights {
  SplitRows router;   // [E, D] + [n, D]
  SplitRows gate_up;  // [E, G, D] + [n, G, D]
  SplitRows down;     // [E, D, F] + [n, D, F]
  // The expert that every token visits, and the row whose score's sigmoid scales it; undefined
  // where the family has none.
  DenseWeights shared;
  at::Tensor shared_gate;  // [1, D]
};

struct LayerWeights {
  AttentionWeights attention;
  at::Tensor mlp_norm;  // [D]
  bool is_moe = false;
  DenseWeights dense;
  MoeWeights moe;
};

struct Weights {
  SplitRows embedding;  // [V, D] + [v, D]
  SplitRows head;       // the same tensors as `embedding` when tied
  at::Tensor final_norm;
  std::vector<LayerWeights> layers;
  bool tied = false;

  /// The dtype of activations; that of matrices too unless they are used where they lie in a file.
  at::ScalarType compute_dtype() const { return final_norm.scalar_type(); }
  at::Device device() const { return final_norm.device(); }
  /// After added experts have changed: what a GPU multiplies with is up to date again.
  void fill_banks();
  /// Calls visit(name, tensor) for every defined tensor, in a fixed order; a tied head is not
  /// visited twice. Names are logical: "layers.3.moe.gate_up.added".
  void for_each(const std::function<void(const std::string&, at::Tensor&)>& visit);
  /// The same for the additions alone.
  void for_each_added(const std::function<void(const std::string&, at::Tensor&)>& visit);
};

/// Reads all weights of a folder into `dtype` (at::kFloat or at::kBFloat16) in memory, split by the
/// folder's manifest.
Weights load_weights(const ModelFolder& folder, at::ScalarType dtype);

enum class AddedExperts { kInMemory, kMapped };

/// The same weights with the base's matrices where they lie: tensors over the mapped files, in
/// their stored dtype and read-only, so that a frozen base costs no memory of the process. Vectors
/// (norms, biases) and added rows are in memory, in `dtype`, which is computed in; added experts
/// that do not train may lie in the files as well.
Weights map_weights(const ModelFolder& folder, at::ScalarType dtype, AddedExperts added);

/// Random weights for training from scratch: normal(0, 0.02), norms 1, residual outputs scaled by
/// 1/sqrt(2 layers). Deterministic in (config, seed); no additions.
Weights random_weights(const ModelConfig& config, uint64_t seed, at::ScalarType dtype);

/// Writes a whole model folder's tensors (base and added rows together) from `weights`, converted
/// to config.dtype. config.num_experts counts base + added.
void write_weights(const Weights& weights, const ModelConfig& config, const FolderLayout& layout,
                   const fs::path& folder);

/// A tensor over the mapped bytes, no copy; it keeps the mapping alive and must not be written to.
at::Tensor mapped_tensor(const TensorView& view);
at::ScalarType to_scalar_type(Dtype dtype);
Dtype from_scalar_type(at::ScalarType type);

}  // namespace polygraft::model
