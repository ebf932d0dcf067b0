// trainer/optim/lora.h: low-rank adaptation (Hu et al. 2021, arXiv 2106.09685): a frozen matrix W0
// is used as W = W0 + (alpha / rank) B A, of which A and B train. Adapted are the matrices of
// attention and of every FFN, each expert's own (gate and up are one matrix here and share A);
// routers, norms and old vocabulary rows stay. W is kept whole and made anew after each step, so
// that the model knows nothing of it, and what is written is merged. By the chain rule, with G the
// gradient of W:
//   dB = (alpha / rank) G A^T,  dA = (alpha / rank) B^T G
// Reference for the start (A uniform with deviation 1 / sqrt(3 I), B zero): peft, LoraLayer.
// Legend: O rows out, I width in, r rank; an expert bank has a leading dimension E.
#pragma once
#include <string>
#include <vector>

#include "trainer/optim/parameters.h"

namespace polygraft::trainer {

class LowRankAdapters {
 public:
  /// Puts W in the place of every adapted matrix of `weights`; W is W0 at first, bit for bit.
  /// @param weights float32, in memory. Deterministic in `seed`.
  LowRankAdapters(model::Weights& weights, const LoraConfig& config, uint64_t seed);

  /// A and B of each matrix, which is their `made`: "layers.3.moe.down.base.lora_a" and "..._b".
  Parameters parameters() const;
  /// From W's gradients, which are then cleared, those of A and B; of no adapter whose W has none.
  void take_gradients() const;
  /// W from A and B as they are now.
  void merge() const;

 private:
  struct Adapter {
    std::string name;
    at::Tensor frozen;  ///< W0 [O, I] or [E, O, I]
    at::Tensor in_use;  ///< W, a leaf of the graph
    at::Tensor a, b;    ///< [r, I] and [O, r], or [E, r, I] and [E, O, r]
  };
  std::vector<Adapter> adapters_;
  double scale_;
};

}  // namespace polygraft::trainer
