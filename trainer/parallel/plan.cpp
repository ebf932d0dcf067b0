// trainer/parallel/plan.cpp: see plan.h. What is sent is what exchange_plan.cpp or
// device_exchange_plan.cpp and expert_exchange.cpp (model/architecture), gradient_sum.cpp and
// shared_optimizer.cpp send.
//
// Legend: D model width, F expert width, E experts, K experts of a token, L sparse layers, M tokens
// of a piece, R ranks, G trainable numbers.
#include "trainer/parallel/plan.h"

#include <algorithm>
#include <cmath>

#include "trainer/parallel/parallel_step.h"
#include "trainer/shape_estimate.h"

namespace polygraft::trainer {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;
constexpr double kBytesOfWeight = 2;  // bfloat16, as released models are stored
constexpr double kOptimizerBytes =
    28;                               // of a number: gradient, value and two moments; three written
constexpr double kMomentBytes = 8;    // of a trained number: two
constexpr double kGradientBytes = 4;  // float32, as new values
constexpr double kSlotNoteBytes = 8;  // token and weight of a slot
constexpr double kWeightGradientBytes = 4;
// One after another; what travels side by side counts once.
constexpr int kForwardExchanges = 4;       // rows of experts, numbers of tokens, both, results
constexpr int kForwardExchangesOnGpu = 3;  // counts, tokens and notes, results
constexpr int kBackwardExchanges = 2;      // gradients of results, of weights and tokens

/// What does not depend on the grid.
struct Quantities {
  explicit Quantities(const PlannedRun& run)
      : config(run.expanded),
        estimate(estimate_additions(run.expanded, run.num_added_experts, run.num_added_vocab_rows,
                                    run.train)),
        on_gpu(run.train.device == "cuda"),
        pieces(static_cast<double>(pieces_of_step(run.train))),
        piece_tokens(static_cast<double>(run.train.batch_tokens) / pieces),
        replayed(run.train.protect.method == "kl" ? run.train.replay.fraction : 0),
        flops_per_token(estimate.flops / static_cast<double>(run.train.tokens)),
        trainable(static_cast<double>(estimate.trainable_parameters)),
        added(static_cast<double>(run.num_added_experts)) {
    const auto& sparse = config.layer_is_moe;
    layers = static_cast<double>(std::count(sparse.begin(), sparse.end(), true));
    expert_numbers = 3.0 * static_cast<double>(config.hidden_size * config.expert_width);
    other_numbers = static_cast<double>(model::count_parameters(config).total) -
                    layers * static_cast<double>(config.num_experts) * expert_numbers;
  }

  const model::ModelConfig& config;
  ShapeEstimate estimate;
  bool on_gpu;
  double pieces, piece_tokens;
  double replayed;  ///< share of tokens that go through the base once more
  double flops_per_token, trainable;
  double added;  ///< experts of a layer
  double layers = 0, expert_numbers = 0, other_numbers = 0;

  double elements_at_once() const {
    return std::min(trainable, static_cast<double>(GradientSum::elements_at_once(on_gpu)));
  }
};

struct Grid {
  double ep, dp;
  double ranks() const { return ep * dp; }
};

double rounds_of(const Quantities& q, const Grid& grid) {
  return std::ceil(q.pieces / grid.ranks());
}

/// Bytes of the weights that one pass over a piece reads on a rank: those of its experts that any
/// token of the row chooses, taking choices as uniform.
double weight_bytes(const Quantities& q, const Grid& grid) {
  const auto experts = static_cast<double>(q.config.num_experts);
  const double missed =
      std::pow(1 - static_cast<double>(q.config.top_k) / experts, q.piece_tokens * grid.ep);
  return kBytesOfWeight *
         (q.other_numbers + q.layers * experts / grid.ep * (1 - missed) * q.expert_numbers);
}

double compute_seconds(const Quantities& q, const Grid& grid, const RankRates& rates) {
  const double operations = q.piece_tokens * q.flops_per_token / (rates.teraflops * 1e12);
  const double passes = q.replayed > 0 ? 3 : 2;
  const double reading = passes * weight_bytes(q, grid) / (rates.memory_gb_s * 1e9);
  return rounds_of(q, grid) * std::max(operations, reading);
}

/// Of a piece's tokens, those with an expert on one certain rank.
double share_that_visits(const Quantities& q, const Grid& grid) {
  return 1 - std::pow(1 - 1 / grid.ep, static_cast<double>(q.config.top_k));
}

/// Sent by a rank in a step for one layer: in each direction a token once to every other rank that
/// has an expert of its choice and a row back for every slot; forward what slots are, and how many.
double layer_bytes(const Quantities& q, const Grid& grid) {
  const auto top_k = static_cast<double>(q.config.top_k);
  const double others = grid.ep - 1;
  const double distinct = others * share_that_visits(q, grid);
  const double slots = top_k * others / grid.ep;
  const double row = static_cast<double>(q.config.hidden_size) * (q.on_gpu ? 2 : 4);
  const double rows = (distinct + slots) * row;
  const double forward = (1 + q.replayed) * (rows + slots * kSlotNoteBytes);
  const double backward = rows + slots * kWeightGradientBytes;
  const double passes = q.replayed > 0 ? 2 : 1;
  const auto experts = static_cast<double>(q.config.num_experts);
  const double counts =
      q.on_gpu ? (experts + grid.ep + 3) * sizeof(int32_t) : (experts + 2) * sizeof(int64_t);
  return rounds_of(q, grid) * (q.piece_tokens * (forward + backward) + passes * others * counts);
}

/// Seconds for bytes that go to `peers` ranks alike, of which those beyond a host are slower.
double sending_seconds(double bytes, double peers, const RankRates& rates) {
  if (peers <= 0) return 0;
  const double beyond = std::max(peers + 1 - static_cast<double>(rates.per_host), 0.0) / peers;
  const double network = rates.network_gb_s > 0 ? rates.network_gb_s : rates.link_gb_s;
  return bytes * ((1 - beyond) / (rates.link_gb_s * 1e9) + beyond / (network * 1e9));
}

/// A rank has the moments of its share alone, and adds that share's gradients up apart from its own
/// pieces', which travel some at a time, when what layers kept is gone. A row of GPUs shares out
/// what experts are multiplied with, which on CPUs is mapped; of those that train, a GPU keeps a
/// gradient for each source, in bfloat16, and of every layer the tokens that came.
double memory_bytes(const Quantities& q, const Grid& grid) {
  const auto alone = static_cast<double>(q.estimate.peak_memory_bytes);
  if (grid.ranks() <= 1) return alone;
  const double share = q.trainable / grid.ranks();
  const double shared = alone - kMomentBytes * (q.trainable - share) + kGradientBytes * share;
  if (!q.on_gpu || grid.ep == 1) return shared;
  const double experts = q.layers * static_cast<double>(q.config.num_experts) * q.expert_numbers;
  const double kept_by_source = std::ceil(q.added / grid.ep) * grid.ep;  // on the GPU with most
  const double gradients =
      q.layers * q.expert_numbers * (kBytesOfWeight * kept_by_source - kGradientBytes * q.added);
  const double arrived = q.piece_tokens * grid.ep * share_that_visits(q, grid);
  const double rows =
      q.layers * arrived * static_cast<double>(q.config.hidden_size) * kBytesOfWeight;
  return shared - (1 - 1 / grid.ep) * kBytesOfWeight * experts + gradients + rows;
}

/// Sent by a rank in a step: gradients after each round to the ranks that sum a share each, and the
/// share's new values once. GPUs that share out experts have those experts' gradients in bfloat16.
double gradient_bytes(const Quantities& q, const Grid& grid) {
  const double experts = q.on_gpu && grid.ep > 1 ? q.layers * q.added * q.expert_numbers : 0;
  const double gradients = kGradientBytes * (q.trainable - experts) + kBytesOfWeight * experts;
  return (rounds_of(q, grid) * gradients + kGradientBytes * q.trainable) * (1 - 1 / grid.ranks());
}

GridPlan plan_grid(const Quantities& q, const Grid& grid, const RankRates& rates) {
  GridPlan plan;
  plan.ep = static_cast<int64_t>(grid.ep);
  plan.dp = static_cast<int64_t>(grid.dp);
  plan.memory_bytes = memory_bytes(q, grid);
  plan.fits = plan.memory_bytes <= rates.memory_gib * kGib;
  const double rounds = rounds_of(q, grid), latency = rates.latency_us * 1e-6;
  plan.compute_s = compute_seconds(q, grid, rates);
  plan.optimizer_s = kOptimizerBytes * q.trainable / grid.ranks() / (rates.memory_gb_s * 1e9);
  if (grid.ep > 1) {
    plan.exchange_bytes = q.layers * layer_bytes(q, grid);
    const int forward = q.on_gpu ? kForwardExchangesOnGpu : kForwardExchanges;
    const double calls = forward * (q.replayed > 0 ? 2 : 1) + kBackwardExchanges;
    plan.exchange_s = sending_seconds(plan.exchange_bytes, grid.ep - 1, rates) +
                      rounds * q.layers * calls * latency;
  }
  if (grid.ranks() > 1) {
    const double peers = grid.ranks() - 1;
    plan.gradient_bytes = gradient_bytes(q, grid);
    const double turns = std::ceil(q.trainable / q.elements_at_once());
    const double calls = rounds * turns + 1;
    plan.gradient_s = sending_seconds(plan.gradient_bytes, peers, rates) + calls * latency;
  }
  return plan;
}

bool is_better(const GridPlan& a, const GridPlan& b) {
  return a.fits != b.fits ? a.fits : a.step_s() < b.step_s();
}

}  // namespace

void RankRates::validate(Problems& problems) const {
  constexpr double kMost = 1e9;
  problems.require_in("memory_gib", memory_gib, 0, kMost, Ends::kHigh);
  problems.require_in("teraflops", teraflops, 0, kMost, Ends::kHigh);
  problems.require_in("memory_gb_s", memory_gb_s, 0, kMost, Ends::kHigh);
  problems.require_in("link_gb_s", link_gb_s, 0, kMost, Ends::kHigh);
  problems.require_in("network_gb_s", network_gb_s, 0, kMost);
  problems.require_in("latency_us", latency_us, 0, kMost);
  problems.require_at_least("per_host", per_host, 1);
}

int64_t pieces_of_step(const TrainConfig& train) {
  if (train.micro_batch_tokens == 0) return 1;
  return (train.batch_tokens + train.micro_batch_tokens - 1) / train.micro_batch_tokens;
}

std::vector<GridPlan> plan_grids(const PlannedRun& run, const RankRates& rates, int64_t num_ranks) {
  require_pieces(run.train, static_cast<int>(num_ranks));
  const Quantities quantities(run);
  std::vector<GridPlan> plans;
  for (int64_t ep = 1; ep <= std::min(num_ranks, run.expanded.num_experts); ++ep) {
    if (num_ranks % ep != 0) continue;
    plans.push_back(plan_grid(
        quantities, {static_cast<double>(ep), static_cast<double>(num_ranks / ep)}, rates));
  }
  std::stable_sort(plans.begin(), plans.end(), is_better);
  return plans;
}

std::vector<std::string> plan_assumptions(const TrainConfig& train) {
  std::vector<std::string> lines = {
      "experts are chosen alike, and every rank's piece is as long as the others'",
      "computing takes the longer of operations and bytes of weights; nothing overlaps",
      "a step's micro-batches go to ranks in turn; ranks beyond their number have no work",
      "gradients are sent after each round of micro-batches, and new values once a step",
      "every rank has the additions, and a share of their moments"};
  lines.emplace_back(train.device == "cuda"
                         ? "experts are shared out over the GPUs of a row; rows and experts' "
                           "gradients are bfloat16"
                         : "rows are float32; the base is mapped once a host, and not counted");
  return lines;
}

}  // namespace polygraft::trainer
