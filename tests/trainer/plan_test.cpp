// tests/trainer/plan_test.cpp: what a grid is said to cost, against what ranks really send, and the
// limits of the formulas.
#include "trainer/parallel/plan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"
#include "trainer/parallel/parallel_step.h"
#include "trainer/parallel/shared_optimizer.h"
#include "trainer/shape_estimate.h"
#include "trainer/trainee.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;

constexpr int64_t kLearned = 96, kReplayed = 32;  // tokens of a step

TrainConfig planned_config() {
  TrainConfig config;
  config.tokens = 1 << 20;
  config.batch_tokens = 1 << 14;
  config.micro_batch_tokens = 1 << 11;
  config.replay.fraction = 0.25;
  return config;
}

model::ModelConfig planned_model() {
  model::ModelConfig config;
  config.family = "qwen3_moe";
  config.num_layers = 4;
  config.hidden_size = 1024;
  config.num_heads = 16;
  config.num_kv_heads = 8;
  config.head_dim = 64;
  config.vocab_rows = 32000;
  config.expert_width = 384;
  config.num_experts = 64 + 8;
  config.top_k = 8;
  config.layer_is_moe.assign(4, true);
  return config;
}

RankRates rates() {
  RankRates rates;
  rates.memory_gib = 64;
  rates.teraflops = 100;
  rates.memory_gb_s = 1000;
  rates.link_gb_s = 50;
  rates.network_gb_s = 5;
  rates.latency_us = 10;
  rates.per_host = 8;
  return rates;
}

std::vector<GridPlan> plans(int64_t ranks, const TrainConfig& train,
                            const RankRates& machine = rates()) {
  const model::ModelConfig config = planned_model();
  return plan_grids({config, 8, 1000, train}, machine, ranks);
}

const GridPlan& with_ep(const std::vector<GridPlan>& plans, int64_t ep) {
  return *std::find_if(plans.begin(), plans.end(),
                       [ep](const GridPlan& plan) { return plan.ep == ep; });
}

TEST_CASE("rates that no plan can be reckoned with are refused", "[trainer][plan]") {
  Problems problems;
  rates().validate(problems);
  CHECK(problems.empty());
  RankRates endless = rates();
  endless.link_gb_s = endless.latency_us = std::numeric_limits<double>::infinity();
  endless.validate(problems);
  CHECK_THROWS_WITH(problems.throw_if_any("machine"),
                    Catch::Contains("link_gb_s") && Catch::Contains("latency_us"));
}

TEST_CASE("one rank sends nothing, and expert parallelism alone exchanges rows",
          "[trainer][plan]") {
  const auto alone = plans(1, planned_config());
  REQUIRE(alone.size() == 1);
  CHECK(alone[0].exchange_bytes == 0);
  CHECK(alone[0].gradient_bytes == 0);
  const auto four = plans(4, planned_config());
  REQUIRE(four.size() == 3);
  CHECK(with_ep(four, 1).exchange_bytes == 0);
  CHECK(with_ep(four, 1).gradient_bytes > 0);
  CHECK(with_ep(four, 2).exchange_bytes > 0);
  CHECK(with_ep(four, 4).exchange_bytes > with_ep(four, 2).exchange_bytes);
  CHECK(std::is_sorted(four.begin(), four.end(), [](const GridPlan& a, const GridPlan& b) {
    return a.step_s() < b.step_s();
  }));
}

TEST_CASE("ranks beyond a step's micro-batches make it no faster", "[trainer][plan]") {
  const TrainConfig train = planned_config();
  REQUIRE(pieces_of_step(train) == 8);
  const double four = with_ep(plans(4, train), 1).compute_s;
  CHECK(with_ep(plans(8, train), 1).compute_s == Approx(four / 2));
  CHECK(with_ep(plans(16, train), 1).compute_s == Approx(four / 2));
}

TEST_CASE("a grid beyond a host pays the network", "[trainer][plan]") {
  RankRates one_host = rates();
  one_host.per_host = 16;
  CHECK(with_ep(plans(16, planned_config()), 16).exchange_s >
        2 * with_ep(plans(16, planned_config(), one_host), 16).exchange_s);
}

TEST_CASE("on GPUs experts are shared out, on CPUs mapped", "[trainer][plan]") {
  TrainConfig train = planned_config();
  const auto on_cpu = plans(4, train);
  CHECK(with_ep(on_cpu, 4).memory_bytes == Approx(with_ep(on_cpu, 1).memory_bytes));
  train.device = "cuda";
  const auto on_gpu = plans(4, train);
  CHECK(with_ep(on_gpu, 4).memory_bytes < with_ep(on_gpu, 1).memory_bytes);
  RankRates small = rates();
  small.memory_gib = with_ep(on_gpu, 2).memory_bytes / (1 << 30);
  const auto tight = plans(4, train, small);
  CHECK(tight.back().ep == 1);
  CHECK_FALSE(tight.back().fits);
  CHECK(tight.front().fits);
}

TEST_CASE("a GPU with one of few added experts keeps its gradient for every source",
          "[trainer][plan]") {
  TrainConfig train = planned_config();
  train.device = "cuda";
  const model::ModelConfig config = planned_model();
  const auto memory = [&](int64_t added, int64_t ep) {
    return with_ep(plan_grids({config, added, 1000, train}, rates(), 8), ep).memory_bytes;
  };
  // Four layers; an expert has 3 x 1024 x 384 numbers: four more sources, two bytes each. A token
  // of eight experts visits a rank of eight with 1 - (7/8)^8.
  const auto tokens_that_came = [](double ep) {
    return 2048 * ep * (1 - std::pow(1 - 1 / ep, 8)) * 1024 * 2;
  };
  const double weights = 3 * 1024 * 384 * (2.0 * 4 - 2.0 * 72 * (1.0 / 4 - 1.0 / 8));
  CHECK(memory(1, 8) - memory(1, 4) ==
        Approx(4 * (weights + tokens_that_came(8) - tokens_that_came(4))));
}

TEST_CASE("the more ranks there are, the fewer moments a rank keeps", "[trainer][plan]") {
  const TrainConfig train = planned_config();
  const model::ModelConfig config = planned_model();
  const auto numbers =
      static_cast<double>(estimate_additions(config, 8, 1000, train).trainable_parameters);
  const auto memory = [&](int64_t ranks) { return with_ep(plans(ranks, train), 1).memory_bytes; };
  CHECK(memory(2) - memory(8) == Approx(12 * numbers * (1.0 / 2 - 1.0 / 8)));
  CHECK(memory(8) < memory(1));
  const double two = with_ep(plans(2, train), 1).optimizer_s;
  CHECK(with_ep(plans(8, train), 1).optimizer_s == Approx(two / 4));
}

TEST_CASE("a run that is not cut into pieces cannot be planned", "[trainer][plan]") {
  TrainConfig train = planned_config();
  train.micro_batch_tokens = 0;
  CHECK_THROWS_AS(plans(2, train), ConfigError);
}

TEST_CASE("the bytes of a plan are those that ranks send", "[trainer][plan][parallel]") {
  const TemporaryFolder run;
  const auto [ep, dp] = GENERATE(std::pair(2, 1), std::pair(2, 2), std::pair(1, 3));
  TrainJob job = testing::additions_job(run / "run");
  job.train.micro_batch_tokens = 32;
  job.train.batch_tokens = kLearned + kReplayed;
  job.train.replay.fraction = static_cast<double>(kReplayed) / (kLearned + kReplayed);
  Trainee shapes = load_trainee(job);
  TrainingData data =
      prepare_data(job, resolve_roles(job), shapes.tokenizer, shapes.tokenizer.size());
  const StepRows rows{data.learned.take(kLearned), data.replayed->take(kReplayed)};
  std::vector<double> exchanged(static_cast<size_t>(ep * dp)), all(exchanged.size());
  std::vector<double> shares(exchanged.size());  // of all trainable numbers
  parallel::run_in_threads(ep * dp, testing::kPatience, [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {ep, dp});
    Trainee trainee = load_trainee(job);
    const Parameters trained = select_parameters(trainee.transformer.weights(), job.train);
    SharedOptimizer optimizer(&grid, trained, job.train.optimizer);
    model::ExpertParallel experts(grid.experts());
    ParallelStep step(grid, experts, trainee.transformer, trainee.tokenizer.prefix_id(), job.train,
                      optimizer.shares());
    const auto before = static_cast<double>(grid.experts().bytes_sent());
    step.backward(rows, {});
    const auto rank = static_cast<size_t>(world.rank());
    exchanged[rank] = static_cast<double>(grid.experts().bytes_sent()) - before;
    optimizer.clip_gradients(1.0);
    optimizer.step(1e-3);
    all[rank] = static_cast<double>(world.bytes_sent());
    shares[rank] = static_cast<double>(optimizer.shares().of(world.rank()).count) /
                   static_cast<double>(optimizer.shares().num_elements());
  });
  model::ModelConfig config = shapes.transformer.config();
  config.num_experts =
      shapes.transformer.num_base_experts() + shapes.transformer.num_added_experts();
  // The plan's pieces are full; these are as full as rows allow.
  const auto num_pieces = static_cast<int64_t>(cut_pieces(rows, 32).size());
  const int64_t learned = num_tokens(rows.learned), replayed = num_tokens(rows.replayed);
  TrainConfig as_cut = job.train;
  as_cut.batch_tokens = learned + replayed;
  as_cut.micro_batch_tokens = (as_cut.batch_tokens + num_pieces - 1) / num_pieces;
  as_cut.replay.fraction = static_cast<double>(replayed) / static_cast<double>(learned + replayed);
  REQUIRE(pieces_of_step(as_cut) == num_pieces);
  const auto planned = plan_grids({config, shapes.transformer.num_added_experts(),
                                   shapes.transformer.num_added_vocab_rows(), as_cut},
                                  rates(), ep * dp);
  const GridPlan& plan = with_ep(planned, ep);
  const double rounds = std::ceil(static_cast<double>(num_pieces) / (ep * dp));
  const double by_piece = plan.exchange_bytes / rounds;
  const double sum = std::accumulate(exchanged.begin(), exchanged.end(), 0.0);
  // Languages prefer some experts, and pieces have one language: slots leave more often than not.
  CHECK(sum == Approx(by_piece * static_cast<double>(num_pieces)).epsilon(0.35));
  // Tensors this small are not cut, so that shares are not even, as a plan's are. Each round a rank
  // sends what is not its own, and at the end its own to all others.
  const double num_ranks = ep * dp;
  std::vector<double> uneven;
  for (const double share : shares) {
    uneven.push_back((rounds * (1 - share) + share * (num_ranks - 1)) /
                     ((rounds + 1) * (num_ranks - 1) / num_ranks));
  }
  const double busiest = *std::max_element(uneven.begin(), uneven.end());
  CHECK(*std::max_element(all.begin(), all.end()) ==
        Approx(plan.gradient_bytes * busiest).epsilon(0.15));
}

}  // namespace
}  // namespace polygraft::trainer
