// model/architecture/transformer.h: one decoder-only transformer for all families, on one device,
// in one process. Pre-norm RMSNorm, rotary positions, grouped-query attention, optional q/k norm,
// dense or sparse SwiGLU, optional shared expert. Tokens of a batch lie flat, document after
// document: no padding, and attention never crosses a boundary. Reference implementation:
// transformers 5.23 (modeling_*.py of the families in model/checkpoint/families.cpp). Legend: T
// tokens of the batch, D model width, V vocabulary rows (base + added +
// padding, but for displaced base rows).
#pragma once
#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <vector>

#include "model/architecture/batch.h"
#include "model/architecture/key_value_cache.h"
#include "model/architecture/router_terms.h"
#include "model/architecture/weights.h"

namespace polygraft::device {
class Executor;
}

namespace polygraft::model {

class ExpertParallel;

/// Which additions are switched off. Everything on: the expanded model. `Mask::all()`: the base,
/// bit for bit.
struct Mask {
  bool experts = false;          ///< added experts get no router score
  bool head = false;             ///< added vocabulary rows get no logit
  bool silence_experts = false;  ///< added experts are routed to but contribute nothing
  bool embedding =
      false;  ///< the id of a base row that an added one displaces means the base's row
  static Mask all() { return {true, true, false, true}; }
  /// As all(), but what is read may hold added tokens.
  static Mask all_but_embedding() { return {true, true, false, false}; }
};

/// What a MoE layer saw and chose, for profiles, probes and router losses.
struct RouterTap {
  int64_t layer = 0;
  size_t batch = 0;     ///< its place among the batches of the call
  at::Tensor input_TD;  ///< router input u (after the norm), part of the graph
  at::Tensor base_TE;   ///< float32 scores of base experts
  at::Tensor added_Tn;  ///< float32 scores of added experts; undefined when masked or absent
  Routing routing;
};
using RouterObserver = std::function<void(const RouterTap&)>;

class Transformer {
 public:
  Transformer(ModelConfig config, Weights weights);
  /// @param dtype compute dtype of weights and activations: at::kFloat or at::kBFloat16.
  static Transformer load(const ModelFolder& folder, at::ScalarType dtype = at::kFloat);

  /// The same tensors, with the experts of every layer shared out over ranks, all of which make the
  /// same calls, each with a batch of its own. @param experts is referred to. For training on CPUs:
  /// no mask may silence experts.
  Transformer with_shared_experts(ExpertParallel& experts) const;
  /// Whether it needs the other ranks in every call.
  bool shares_experts() const { return experts_ != nullptr; }

  /// The same model on a GPU, in bfloat16 but for the additions, which stay float32 to be trained
  /// (device_weights.h). Batches stay on the CPU; results are on the GPU.
  /// @param executor what runs the sparse layers' bodies there. @param experts null, or the ranks
  /// whose GPUs have a slice of every layer's experts each; referred to.
  Transformer on_device(at::Device device, std::shared_ptr<device::Executor> executor,
                        ExpertParallel* experts = nullptr) const;

  /// Final normed hidden states h_TD. Runs under the caller's grad mode. @throws ConfigError for an
  /// id outside the vocabulary or a sequence longer than max_positions.
  /// @param terms of the routing that every sparse layer makes for the observer, in its tap's
  /// routing; weights on the CPU, one for each token, or where the model is.
  at::Tensor hidden(const Batch& batch, Mask mask = {}, const RouterObserver& observer = nullptr,
                    const RouterTerms& terms = {}) const;

  /// The same for many batches, layer by layer: a layer's weights are read once for all of them, so
  /// that a model larger than memory is read once and not once per batch. The results are those of
  /// hidden() on each batch, bit for bit. The caller bounds the batches by tokens_per_pass().
  class Walk;

  /// Sequences continued: hidden states of the batch's tokens alone, which follow what each
  /// sequence's cache has seen. @throws as hidden() does, earlier tokens counted.
  at::Tensor hidden_next(const Batch& batch, const std::vector<KeyValueCache*>& caches,
                         Mask mask = {}) const;

  /// How many tokens' hidden states fill 128 MiB.
  int64_t tokens_per_pass() const;

  /// float32 logits [T, V] in the stored rows' order, padding included (V = base rows alone when
  /// mask.head). For tests and generation; losses
  /// use head_loss.h.
  at::Tensor logits(const at::Tensor& hidden_TD, Mask mask = {}) const;

  const ModelConfig& config() const { return config_; }
  Weights& weights() { return weights_; }
  const Weights& weights() const { return weights_; }
  int64_t num_base_experts() const;
  int64_t num_added_experts() const;
  /// The id from which on tokens are added ones, or spare rows that no token uses.
  int64_t first_added_token() const { return weights_.embedding.layout().first_added(); }
  int64_t num_base_vocab_rows() const { return weights_.embedding.num_base(); }
  int64_t num_added_vocab_rows() const { return weights_.embedding.num_added(); }

 private:
  struct Pass;
  /// @param caches of the sequences, where they began before this batch; or none.
  Pass start(const Batch& batch, Mask mask, const std::vector<KeyValueCache*>& caches = {}) const;
  /// @return [T, D]: what the last layer gives, normed.
  at::Tensor finish(const Pass& pass) const;
  void run_layer(size_t layer, Pass& pass, Mask mask, const RouterObserver& observer,
                 size_t batch) const;

  ModelConfig config_;
  Weights weights_;
  ExpertParallel* experts_ = nullptr;           // none: all on this process
  std::shared_ptr<device::Executor> executor_;  // none: on the CPU
};

class Transformer::Walk {
 public:
  /// @param transformer is referred to, not copied. @throws as hidden() does.
  Walk(const Transformer& transformer, const std::vector<Batch>& batches, Mask mask);
  ~Walk();
  Walk(Walk&&) noexcept;

  /// Layers in order, each once. @param after_batch may be empty, and may throw to end the walk.
  void run_layer(int64_t layer, const RouterObserver& observer = nullptr,
                 const std::function<void(size_t batch)>& after_batch = nullptr);
  /// After the last layer: final normed hidden states of each batch.
  std::vector<at::Tensor> finish();

 private:
  const Transformer& transformer_;
  Mask mask_;
  std::vector<Pass> passes_;
};

}  // namespace polygraft::model
