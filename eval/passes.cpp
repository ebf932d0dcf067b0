// eval/passes.cpp: see passes.h.
#include "eval/passes.h"

#include <ATen/Parallel.h>

#include "core/hash.h"
#include "core/stop.h"

namespace polygraft::eval {
namespace {

/// What all ranks must have alike.
std::string describe(const std::vector<model::Batch>& batches, int64_t most_tokens) {
  Sha256 hash;
  const auto add = [&](const void* values, size_t count) {
    hash.update(&count, sizeof(count));
    hash.update(values, count * sizeof(int64_t));
  };
  const int64_t options[] = {most_tokens, at::get_num_threads()};
  add(options, 2);
  for (const model::Batch& batch : batches) {
    const at::Tensor ids_T = batch.ids_T.contiguous();
    add(ids_T.const_data_ptr<int64_t>(), static_cast<size_t>(ids_T.numel()));
    add(batch.lengths.data(), batch.lengths.size());
  }
  return hash.finish();
}

/// As many passes of one process as there are ranks.
PassRange next_pass(const std::vector<model::Batch>& batches, size_t first, int64_t most_tokens,
                    int num_ranks) {
  PassRange pass{first, first};
  for (int r = 0; r < num_ranks && pass.end < batches.size(); ++r) {
    pass.end = end_of_pass(batches, pass.end, most_tokens);
  }
  return pass;
}

/// Tells tokens, each once all layers have seen it.
class LayerProgress {
 public:
  LayerProgress(Progress* progress, int64_t num_layers)
      : progress_(progress), num_layers_(static_cast<uint64_t>(num_layers)) {}

  /// Tokens that have been through one layer more.
  void add(int64_t num_tokens) {
    layer_tokens_ += static_cast<uint64_t>(num_tokens);
    if (progress_ == nullptr) return;
    progress_->advance(layer_tokens_ / num_layers_ - shown_);
    shown_ = layer_tokens_ / num_layers_;
  }

 private:
  Progress* progress_;
  uint64_t num_layers_, layer_tokens_ = 0, shown_ = 0;
};

/// A rank's part of a pass.
struct OwnBatches {
  std::vector<model::Batch> batches;
  std::vector<size_t> places;    ///< among all batches of all passes; of no batch for others' sake
  int64_t tokens_of_others = 0;  ///< in the same pass
};

OwnBatches own_batches(const std::vector<model::Batch>& batches, PassRange pass,
                       const parallel::Team& team) {
  OwnBatches own;
  for (size_t i = pass.first; i < pass.end; ++i) {
    if (team.owns(i)) {
      own.batches.push_back(batches[i]);
      own.places.push_back(i);
    } else {
      own.tokens_of_others += batches[i].ids_T.numel();
    }
  }
  return own;
}

/// As many batches on every rank as on the one that has most: all make the same calls of a model
/// whose experts they share.
void fill_up(OwnBatches& own, PassRange pass, int num_ranks) {
  const auto size = static_cast<size_t>(num_ranks);
  const size_t most = (pass.end - pass.first + size - 1) / size;
  while (own.batches.size() < most) own.batches.push_back({at::zeros({1}, at::kLong), {1}});
}

model::RouterObserver placed(const model::RouterObserver& observer, const OwnBatches& own) {
  if (!observer) return observer;
  return [&](const model::RouterTap& tap) {
    if (tap.batch >= own.places.size()) return;
    model::RouterTap at_place = tap;
    at_place.batch = own.places[tap.batch];
    observer(at_place);
  };
}

/// @return hidden states of this rank's batches.
std::vector<at::Tensor> run_layers(const model::Transformer& transformer, const OwnBatches& own,
                                   PassRange pass, const PassOptions& options,
                                   LayerProgress& progress) {
  const model::RouterObserver observer = placed(options.observer, own);
  model::Transformer::Walk walk(transformer, own.batches, options.mask);
  for (int64_t layer = 0; layer < transformer.config().num_layers; ++layer) {
    walk.run_layer(layer, observer, [&](size_t batch) {
      if (options.team.is_alone()) throw_if_stopped();
      if (batch < own.places.size()) progress.add(own.batches[batch].ids_T.numel());
    });
    options.team.throw_if_stopped();
    progress.add(own.tokens_of_others);
    if (options.after_layer) options.after_layer(layer, pass);
  }
  return walk.finish();
}

}  // namespace

size_t end_of_pass(const std::vector<model::Batch>& batches, size_t first, int64_t most_tokens) {
  int64_t num_tokens = 0;
  size_t end = first;
  for (; end < batches.size(); ++end) {
    num_tokens += batches[end].ids_T.numel();
    if (end > first && num_tokens > most_tokens) break;
  }
  return end;
}

void run_passes(const model::Transformer& transformer, const std::vector<model::Batch>& batches,
                const PassOptions& options,
                const std::function<void(size_t, const at::Tensor&)>& take) {
  const int64_t most_tokens =
      options.most_tokens > 0 ? options.most_tokens : transformer.tokens_per_pass();
  if (!options.team.is_alone()) options.team.require_same(describe(batches, most_tokens));
  LayerProgress progress(options.progress, transformer.config().num_layers);
  for (PassRange pass; pass.end < batches.size();) {
    pass = next_pass(batches, pass.end, most_tokens, options.team.size());
    OwnBatches own = own_batches(batches, pass, options.team);
    if (transformer.shares_experts()) fill_up(own, pass, options.team.size());
    auto hidden_TD = run_layers(transformer, own, pass, options, progress);
    for (size_t i = 0; i < own.places.size(); ++i) {
      take(own.places[i], hidden_TD[i]);
      hidden_TD[i] = at::Tensor();
    }
    if (options.after_pass) options.after_pass(pass);
  }
}

}  // namespace polygraft::eval
