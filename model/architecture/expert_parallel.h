// model/architecture/expert_parallel.h: the experts of a layer shared out over a group of ranks,
// each of which has tokens of its own. Forward and explicit backward, as moe_experts() on one
// process:
//   route -> send tokens -> experts of this rank on all ranks' tokens -> return -> combine in slot
//   order
// Every rank's results have the bits that it would get alone: the kernels' rows do not depend on
// one another (model/kernels/README.md), and weight gradients are kept apart by the rank that the
// tokens came from, for the caller to sum in a fixed order. Always through model/kernels, hence
// float32.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "model/architecture/device_weights.h"
#include "model/architecture/moe_layer.h"
#include "model/parallel/communicator.h"

namespace polygraft::model {

/// Work that needs no other rank.
using Meanwhile = std::function<void()>;

class ExpertParallel {
 public:
  /// @param group is referred to; all its ranks call experts() for the same layers in the same
  /// order, and all or none go backward through them. A rank without tokens of its own takes part
  /// with none or any.
  explicit ExpertParallel(parallel::Communicator& group) : group_(group) {}

  /// As moe_experts(), except for weight gradients: these are left in gradient().
  /// @param meanwhile is called while tokens are on their way; it must not communicate.
  at::Tensor experts(
      const at::Tensor& x_TD, const Routing& routing, const SplitRows& gate_up,
      const SplitRows& down, const Meanwhile& meanwhile = [] {});

  /// What backward left for a bank (base or added) of this rank's experts: the gradient by the
  /// tokens of `source`, a rank of the group. @return [experts of this rank, ...], in float32 or,
  /// on a GPU, bfloat16; undefined when backward has not been there since clear_gradients().
  at::Tensor gradient(const at::Tensor& bank, int source) const;
  void clear_gradients() { gradients_.clear(); }
  /// Where backward puts them: by source. @throws c10::Error when some are there already.
  void keep_gradients(const at::Tensor& bank, std::vector<at::Tensor> by_source);
  /// New ones, in float32, kept.
  std::vector<at::Tensor>& new_gradients(const at::Tensor& bank, int64_t num_experts);

  parallel::Communicator& group() const { return group_; }
  /// What a GPU of this rank has of every layer.
  ExpertShare share() const { return {group_.rank(), group_.size()}; }

 private:
  parallel::Communicator& group_;
  std::map<const void*, std::vector<at::Tensor>> gradients_;  // by bank
};

}  // namespace polygraft::model
