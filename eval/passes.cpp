// eval/passes.cpp: see passes.h.
#include "eval/passes.h"

#include "core/stop.h"

namespace polygraft::eval {
namespace {

/// The batches from `first` on that one pass takes: at least one.
std::vector<model::Batch> next_pass(const std::vector<model::Batch>& batches, size_t first,
                                    int64_t most_tokens) {
  std::vector<model::Batch> pass;
  int64_t num_tokens = 0;
  for (size_t i = first; i < batches.size(); ++i) {
    num_tokens += batches[i].ids_T.numel();
    if (!pass.empty() && num_tokens > most_tokens) break;
    pass.push_back(batches[i]);
  }
  return pass;
}

/// The observer of a pass that begins with batch `first`.
model::RouterObserver observer_from(const model::RouterObserver& observer, size_t first) {
  if (!observer || first == 0) return observer;
  return [&observer, first](const model::RouterTap& tap) {
    model::RouterTap placed = tap;
    placed.batch += first;
    observer(placed);
  };
}

}  // namespace

void run_passes(const model::Transformer& transformer, const std::vector<model::Batch>& batches,
                const PassOptions& options,
                const std::function<void(size_t, const at::Tensor&)>& take) {
  const auto num_layers = static_cast<uint64_t>(transformer.config().num_layers);
  const int64_t most_tokens =
      options.most_tokens > 0 ? options.most_tokens : transformer.tokens_per_pass();
  uint64_t layer_tokens = 0, shown = 0;  // tokens times layers; whole tokens told so far
  for (size_t first = 0; first < batches.size();) {
    const auto pass = next_pass(batches, first, most_tokens);
    auto hidden_TD = transformer.hidden_by_layer(
        pass, options.mask, observer_from(options.observer, first), [&](const model::Batch& batch) {
          throw_if_stopped();
          layer_tokens += static_cast<uint64_t>(batch.ids_T.numel());
          if (options.progress == nullptr) return;
          options.progress->advance(layer_tokens / num_layers - shown);
          shown = layer_tokens / num_layers;
        });
    for (at::Tensor& hidden : hidden_TD) {
      take(first++, hidden);
      hidden = at::Tensor();
    }
  }
}

}  // namespace polygraft::eval
