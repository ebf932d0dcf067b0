// trainer/parallel/plan.h: what a step costs on a grid of ranks, from shapes and a machine's rates
// alone. A roofline: computing takes the longer of its operations and its weights' bytes, exchanges
// take bytes over a rate and a latency a call, and nothing overlaps. plan_assumptions() says the
// rest in words. tests/bench/parallel holds it against measured processes.
#pragma once
#include <string>
#include <vector>

#include "model/checkpoint/model_config.h"
#include "trainer/config.h"

namespace polygraft::trainer {

/// One rank's part of a machine: what it computes with, and how it reaches others. All rates are
/// those that programs sustain, not a datasheet's.
struct RankRates {
  double memory_gib = 0;
  double teraflops = 0;
  double memory_gb_s = 0;   ///< reading weights, 10^9 bytes a second
  double link_gb_s = 0;     ///< sending to ranks of the same host
  double network_gb_s = 0;  ///< sending to other hosts' ranks
  double latency_us = 0;    ///< of one exchange
  int64_t per_host = 1;     ///< ranks of a host

  template <class Visitor>
  void visit(Visitor& v) {
    v.required("memory_gib", memory_gib, "of one rank, GiB");
    v.required("teraflops", teraflops, "Tflop/s that one rank sustains");
    v.required("memory_gb_s", memory_gb_s, "GB/s at which one rank reads weights");
    v.required("link_gb_s", link_gb_s, "GB/s at which one rank sends to others of its host");
    v.field("network_gb_s", network_gb_s, "GB/s to ranks of other hosts; 0: as link_gb_s");
    v.field("latency_us", latency_us, "microseconds that an exchange takes whatever its size");
    v.field("per_host", per_host, "ranks of a host");
  }
  void validate(Problems& problems) const;
};

/// What is trained, as estimate_additions() takes it.
struct PlannedRun {
  const model::ModelConfig& expanded;
  int64_t num_added_experts = 0, num_added_vocab_rows = 0;
  const TrainConfig& train;
};

struct GridPlan {
  int64_t ep = 1, dp = 1;
  double memory_bytes = 0;                        ///< of one rank, mapped files left out
  double exchange_bytes = 0, gradient_bytes = 0;  ///< sent in a step by the busiest
  double compute_s = 0, exchange_s = 0, gradient_s = 0, optimizer_s = 0;
  bool fits = false;

  double step_s() const { return compute_s + exchange_s + gradient_s + optimizer_s; }
};

/// Every grid of `num_ranks` whose ranks can share out the experts: those that fit first, the
/// fastest of them foremost. @throws ConfigError when the run is not cut into pieces.
std::vector<GridPlan> plan_grids(const PlannedRun& run, const RankRates& rates, int64_t num_ranks);

/// How many micro-batches a step has (one where it is not cut): no more ranks than these have work.
int64_t pieces_of_step(const TrainConfig& train);

/// What the figures rest on, one sentence each.
std::vector<std::string> plan_assumptions(const TrainConfig& train);

}  // namespace polygraft::trainer
