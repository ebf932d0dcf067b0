// eval/passes.h: many batches through a model, layer by layer, in passes of bounded memory: a model
// larger than memory is read once per pass instead of once per batch.
#pragma once
#include <functional>
#include <vector>

#include "core/progress.h"
#include "model/architecture/transformer.h"

namespace polygraft::eval {

struct PassOptions {
  model::Mask mask;
  /// May be empty. Within a layer it sees the batches of a pass in order; `batch` is the place
  /// among all of them.
  model::RouterObserver observer;
  Progress* progress = nullptr;  ///< advances by tokens, as their layers are done
  int64_t most_tokens = 0;       ///< in a pass; 0: Transformer::tokens_per_pass()
};

/// Calls take(i, hidden_TD) for every batch in order, with what Transformer::hidden() gives for it,
/// bit for bit. Batches are freed pass by pass. @throws Interrupted between two layers.
void run_passes(const model::Transformer& transformer, const std::vector<model::Batch>& batches,
                const PassOptions& options,
                const std::function<void(size_t, const at::Tensor&)>& take);

}  // namespace polygraft::eval
