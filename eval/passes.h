// eval/passes.h: many batches through a model, layer by layer, in passes of bounded memory: a model
// larger than memory is read once per pass instead of once per batch. Ranks share out the batches
// of every pass and go from layer to layer together, in lockstep where they share the experts too.
#pragma once
#include <functional>
#include <vector>

#include "core/progress.h"
#include "model/architecture/transformer.h"
#include "model/parallel/team.h"

namespace polygraft::eval {

/// The batches of one pass, by their places among all.
struct PassRange {
  size_t first = 0, end = 0;
};

struct PassOptions {
  model::Mask mask;
  /// May be empty. Within a layer it sees this rank's batches of a pass in order; `batch` is the
  /// place among all of them.
  model::RouterObserver observer;
  Progress* progress = nullptr;  ///< advances by tokens, as their layers are done
  int64_t most_tokens = 0;       ///< in a pass, for each rank; 0: Transformer::tokens_per_pass()
  /// Rank owner_of(i) computes batch i. Those who share a model's experts, if there are any.
  parallel::Team team = {};
  /// Called by every rank after each layer of a pass; may be empty, and may communicate.
  std::function<void(int64_t layer, PassRange)> after_layer = nullptr;
  /// The same after each pass, once its batches have been taken.
  std::function<void(PassRange)> after_pass = nullptr;
};

/// Where the pass ends that begins with batch `first`: it has one at least.
size_t end_of_pass(const std::vector<model::Batch>& batches, size_t first, int64_t most_tokens);

/// Calls take(i, hidden_TD) for every batch of this rank in order, with what Transformer::hidden()
/// gives for it, bit for bit. Batches are freed pass by pass. Each rank adds a pass of its own to
/// what goes through the model together. @throws Interrupted between two layers, on all ranks;
/// ConfigError when ranks were not called with the same batches.
void run_passes(const model::Transformer& transformer, const std::vector<model::Batch>& batches,
                const PassOptions& options,
                const std::function<void(size_t, const at::Tensor&)>& take);

}  // namespace polygraft::eval
