// tests/trainer/device_memory_test.cpp: what a step takes of a GPU's memory and sends to others, as
// simulated ones count it, beside what was said before.
#include <catch2/catch.hpp>

#include "tests/model/architecture/tiny_model.h"
#include "tests/model/parallel/patience.h"
#include "tests/model/simulated_gpu/memory.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"
#include "tests/model/simulated_gpu/simulated_nccl.h"
#include "trainer/optim/parameters.h"
#include "trainer/parallel/parallel_step.h"
#include "trainer/parallel/plan.h"
#include "trainer/parallel/shared_optimizer.h"

namespace polygraft::trainer {
namespace {

using testing::GpuMemory;

constexpr int64_t kAddedExperts = 8, kAddedRows = 80;
constexpr int64_t kTokens = 256, kPieces = 4, kSequenceLength = 32;

struct MeasuredCase {
  int64_t vocab_rows = 800;

  model::ModelConfig base() const {
    model::ModelConfig config = testing::tiny_config();
    config.num_layers = 4;
    config.hidden_size = 128;
    config.num_heads = 8;
    config.num_kv_heads = 2;
    config.head_dim = 16;
    config.vocab_rows = vocab_rows;
    config.expert_width = 48;
    config.num_experts = 32;
    config.top_k = 4;
    config.layer_is_moe.assign(4, true);
    config.max_positions = 256;
    return config;
  }
  model::ModelConfig expanded() const {
    model::ModelConfig config = base();
    config.num_experts += kAddedExperts;
    config.vocab_rows += kAddedRows;
    return config;
  }
  /// A plan is of a rank with most added experts and an even share of all; what one has less.
  double bytes_spared(int64_t rank, int64_t ep) const {
    const model::ModelConfig config = base();
    const auto own = [&](int64_t count) { return parallel::slice_of(count, rank % ep, ep).count; };
    const int64_t own_added = own(kAddedExperts), most_added = (kAddedExperts + ep - 1) / ep;
    const double weights =
        static_cast<double>(config.num_experts + kAddedExperts) / static_cast<double>(ep) -
        static_cast<double>(own(config.num_experts) + own_added);
    const auto gradients = static_cast<double>((most_added - own_added) * ep);
    const auto numbers =
        static_cast<double>(config.num_layers * 3 * config.hidden_size * config.expert_width);
    return 2 * numbers * (weights + gradients);  // bfloat16
  }
  TrainConfig train(const std::string& method) const {
    TrainConfig train;
    train.device = "cuda";
    train.tokens = 1 << 16;
    train.sequence_length = kSequenceLength;
    train.micro_batch_tokens = kTokens;
    train.batch_tokens = kTokens * kPieces;
    train.replay.fraction = 0.25;
    train.protect.method = method;
    return train;
  }
};

/// Of random tokens, which the rows refer to.
StepRows rows_of(const std::vector<int32_t>& ids) {
  StepRows rows;
  constexpr auto length = static_cast<size_t>(kSequenceLength);
  for (size_t first = 0; first + length <= ids.size(); first += length) {
    Row row(ids.data() + first, length);
    row.before = ids.front();
    (first / length % 4 == 0 ? rows.replayed : rows.learned).push_back(row);
  }
  return rows;
}

std::vector<int32_t> random_ids(const MeasuredCase& c, int64_t count) {
  const at::Tensor ids = at::randint(0, c.expanded().vocab_rows, {count}, at::kInt);
  return {ids.const_data_ptr<int32_t>(), ids.const_data_ptr<int32_t>() + count};
}

model::Weights random_weights(const MeasuredCase& c) {
  at::manual_seed(1);
  return testing::grown(testing::lively_weights(c.base(), 1), kAddedExperts, kAddedRows);
}

/// Bytes of one rank.
struct Measured {
  double peak = 0;                                ///< of its GPU
  double gradient_bytes = 0, exchange_bytes = 0;  ///< sent by a step
};

/// Two steps on a rank; the first leaves the optimizer's state.
Measured measure(const MeasuredCase& c, const TrainConfig& train, const model::Weights& weights,
                 const std::vector<int32_t>& ids, const parallel::RankGrid& grid) {
  auto& memory = GpuMemory::instance();
  memory.set_limit(grid.rank(), GpuMemory::kBytes);
  const auto before = static_cast<double>(memory.peak(grid.rank()));
  model::Gpu gpu = testing::open_simulated_gpu(grid.rank());
  model::ExpertParallel experts(grid.experts());
  model::Transformer transformer =
      model::Transformer(c.base(), weights)
          .on_device(gpu.device, gpu.executor, grid.shares_experts() ? &experts : nullptr);
  const Parameters trained = select_parameters(transformer.weights(), train);
  SharedOptimizer optimizer(&grid, trained, train.optimizer);
  ParallelStep step(grid, experts, transformer, 0, train, optimizer.shares());
  Measured measured;
  for (int i = 0; i < 2; ++i) {
    const uint64_t sent = grid.world().bytes_sent(), exchanged = grid.experts().bytes_sent();
    step.backward(rows_of(ids), {});
    optimizer.clip_gradients(1.0);
    optimizer.step(1e-3);
    transformer.weights().fill_banks();
    measured.gradient_bytes = static_cast<double>(grid.world().bytes_sent() - sent);
    measured.exchange_bytes = static_cast<double>(grid.experts().bytes_sent() - exchanged);
  }
  measured.peak = static_cast<double>(memory.peak(grid.rank())) - before;
  return measured;
}

/// Each rank.
std::vector<Measured> measure_all(const MeasuredCase& c, const TrainConfig& train,
                                  parallel::GridShape shape) {
  const model::Weights weights = random_weights(c);
  const std::vector<int32_t> ids = random_ids(c, train.batch_tokens);
  std::vector<Measured> ranks(static_cast<size_t>(shape.ep * shape.dp));
  testing::run_on_gpus(
      static_cast<int>(std::ssize(ranks)), testing::kPatience, [&](parallel::Communicator& world) {
        const parallel::RankGrid grid(world, shape);
        ranks[static_cast<size_t>(world.rank())] = measure(c, train, weights, ids, grid);
      });
  return ranks;
}

GridPlan planned(const MeasuredCase& c, const TrainConfig& train, parallel::GridShape shape) {
  const RankRates rates{.memory_gib = 1, .teraflops = 1, .memory_gb_s = 1, .link_gb_s = 1};
  const model::ModelConfig expanded = c.expanded();
  for (const GridPlan& plan :
       plan_grids({expanded, kAddedExperts, kAddedRows, train}, rates, shape.ep * shape.dp)) {
    if (plan.ep == shape.ep) return plan;
  }
  throw std::logic_error("no such grid");
}

TEST_CASE("a step takes the memory of a GPU and sends the bytes that were said before within 15 %",
          "[trainer][device][plan]") {
  const auto [method, ep, dp, vocab_rows] =
      GENERATE(table<const char*, int, int, int64_t>({{"kl", 1, 1, 800},
                                                      {"hinge", 1, 1, 4000},
                                                      {"hinge", 1, 2, 800},
                                                      {"kl", 2, 2, 800},
                                                      {"kl", 3, 1, 800}}));
  const MeasuredCase c{.vocab_rows = vocab_rows};
  const TrainConfig train = c.train(method);
  const parallel::GridShape shape{ep, dp};
  const GridPlan plan = planned(c, train, shape);
  INFO(method << ", ep " << ep << ", dp " << dp);
  Measured busiest;
  int64_t r = 0;
  for (const Measured& rank : measure_all(c, train, shape)) {
    const double own = plan.memory_bytes - c.bytes_spared(r++, ep);
    INFO("planned " << own << ", taken " << rank.peak);
    CHECK(own > rank.peak / 1.15);
    CHECK(own < rank.peak * 1.15);
    busiest.gradient_bytes = std::max(busiest.gradient_bytes, rank.gradient_bytes);
    busiest.exchange_bytes = std::max(busiest.exchange_bytes, rank.exchange_bytes);
  }
  CHECK(plan.gradient_bytes == Approx(busiest.gradient_bytes).epsilon(0.15));
  // A plan's rounds are full ones.
  const int64_t ranks = ep * dp, rounds = (kPieces + ranks - 1) / ranks;
  const double filled = static_cast<double>(kPieces) / static_cast<double>(rounds * ranks);
  CHECK(plan.exchange_bytes * filled == Approx(busiest.exchange_bytes).epsilon(0.15));
}

}  // namespace
}  // namespace polygraft::trainer
