// tests/trainer/shares_test.cpp: optimizer state shared out over ranks: all of it is somewhere,
// once, and its updates are those of one process, bit for bit, with tensors cut between blocks.
#include "trainer/parallel/shares.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "core/text.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"
#include "trainer/parallel/gradient_sum.h"
#include "trainer/parallel/shared_optimizer.h"

namespace polygraft::trainer {
namespace {

using parallel::Slice;

constexpr int64_t kNumPieces = 4, kNumSteps = 2;

at::Tensor wave(at::IntArrayRef shape, double frequency) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return ((at::arange(count, at::kFloat) * frequency).frac() - 0.3).view(shape);
}

/// Some larger than a block, some than a share, some tiny, and one that gets no gradient.
Parameters some_parameters() {
  Parameters parameters = {{"large", wave({9, kBlockElements / 2 + 3}, 0.37), 1.0, true},
                           {"vector", wave({5}, 0.5), 0.5, false},
                           {"idle", wave({7, 3}, 0.2), 1.0, true},
                           {"odd", wave({kBlockElements + 1}, 0.11), 1.0, false},
                           {"last", wave({33, 1}, 0.3), 1.0, true}};
  for (Parameter& parameter : parameters) parameter.value.set_requires_grad(true);
  return parameters;
}

/// What a piece's backward leaves; one tensor has gradients from some pieces alone.
at::Tensor gradient_of(const Parameter& parameter, int64_t step, int64_t piece) {
  if (parameter.name == "idle" || (parameter.name == "vector" && piece < 2)) return {};
  const auto factor = static_cast<double>(1 + piece + kNumPieces * step);
  return wave(parameter.value.sizes(), 0.7 * factor) * 0.01;
}

OptimizerConfig optimizer_config() {
  OptimizerConfig config;
  config.weight_decay = 0.1;
  return config;
}

struct Trained {
  std::vector<double> norms;
  std::vector<at::Tensor> values, first, second;
};

Trained train_alone() {
  Trained result;
  const Parameters parameters = some_parameters();
  AdamW optimizer(parameters, optimizer_config());
  for (int64_t step = 0; step < kNumSteps; ++step) {
    for (int64_t piece = 0; piece < kNumPieces; ++piece) {
      for (const Parameter& parameter : parameters) {
        const at::Tensor gradient = gradient_of(parameter, step, piece);
        at::Tensor& sum = parameter.value.mutable_grad();
        if (gradient.defined()) sum = sum.defined() ? sum + gradient : gradient;
      }
    }
    result.norms.push_back(clip_gradients(parameters, 1.0));
    optimizer.step(0.01);
    clear_gradients(parameters);
  }
  result.values = values(parameters);
  result.first = optimizer.first_moments();
  result.second = optimizer.second_moments();
  return result;
}

/// The same on a rank: moments are the first rank's.
Trained train_on(const parallel::RankGrid& grid) {
  Trained result;
  const Parameters parameters = some_parameters();
  SharedOptimizer optimizer(&grid, parameters, optimizer_config());
  model::ExpertParallel experts(grid.experts());
  GradientSum sum(grid, optimizer.shares(), experts);
  for (int64_t step = 0; step < kNumSteps; ++step) {
    for (int64_t first = 0; first < kNumPieces; first += grid.size()) {
      const int64_t piece = first + grid.rank();
      for (const Parameter& parameter : parameters) {
        parameter.value.mutable_grad() = gradient_of(parameter, step, piece);
      }
      sum.add_round(piece < kNumPieces);
    }
    sum.finish();
    result.norms.push_back(optimizer.clip_gradients(1.0));
    optimizer.step(0.01);
  }
  result.values = values(parameters);
  optimizer.gather_moments([&](const Moments& whole) {
    result.first.push_back(whole.first);
    result.second.push_back(whole.second);
  });
  return result;
}

bool all_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const at::Tensor& x, const at::Tensor& y) { return x.equal(y); });
}

int64_t moment_bytes(const SharedOptimizer& optimizer) {
  int64_t sum = 0;
  for (const Moments& own : optimizer.own_moments()) {
    sum += static_cast<int64_t>(own.first.nbytes() + own.second.nbytes());
  }
  return sum;
}

TEST_CASE("ranks that keep a share of the moments each train one process's bits",
          "[trainer][parallel][shares]") {
  const Trained alone = train_alone();
  REQUIRE(alone.norms[0] > 1.0);  // clipped
  const int num_ranks = GENERATE(1, 2, 3, 7);
  std::vector<Trained> trained(static_cast<size_t>(num_ranks));
  parallel::run_in_threads(num_ranks, testing::kPatience, [&](parallel::Communicator& world) {
    trained[static_cast<size_t>(world.rank())] = train_on(parallel::RankGrid(world, {1, 0}));
  });
  for (const Trained& rank : trained) {
    CHECK(rank.norms == alone.norms);
    CHECK(all_equal(rank.values, alone.values));
  }
  CHECK(all_equal(trained[0].first, alone.first));
  CHECK(all_equal(trained[0].second, alone.second));
  if (num_ranks > 1) CHECK(trained[1].first.empty());
}

TEST_CASE("every moment is kept by one rank, and ranks keep about as many",
          "[trainer][parallel][shares]") {
  const int64_t numbers = num_elements(some_parameters());
  const int num_ranks = GENERATE(1, 2, 3, 7);
  std::vector<int64_t> bytes(static_cast<size_t>(num_ranks));
  parallel::run_in_threads(num_ranks, testing::kPatience, [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {1, 0});
    bytes[static_cast<size_t>(world.rank())] =
        moment_bytes(SharedOptimizer(&grid, some_parameters(), optimizer_config()));
  });
  constexpr int64_t kBytes = 2 * sizeof(float);
  CHECK(std::accumulate(bytes.begin(), bytes.end(), int64_t{0}) == kBytes * numbers);
  CHECK(*std::max_element(bytes.begin(), bytes.end()) <=
        kBytes * (numbers / num_ranks + kBlockElements));
}

TEST_CASE("shares end between blocks", "[trainer][shares]") {
  const Parameters parameters = some_parameters();
  for (int rank = 0; rank < 3; ++rank) {
    const Shares shares(parameters, rank, 3);
    CHECK(shares.num_elements() == num_elements(parameters));
    CHECK(shares.of(rank).first == (rank == 0 ? 0 : shares.of(rank - 1).end()));
    const Slice in_large = shares.of_parameter(rank, 0);
    CHECK(in_large.first % kBlockElements == 0);
    CHECK((in_large.end() % kBlockElements == 0 || in_large.end() == parameters[0].value.numel()));
  }
}

TEST_CASE("an adapter's factors stay with its matrix, whole", "[trainer][shares]") {
  Parameters parameters;
  for (const char* name : {"x", "y", "z"}) {
    const at::Tensor made = at::zeros({2, kBlockElements});
    parameters.push_back({concat(name, ".lora_a"), at::zeros({3, kBlockElements}), 1, true, made});
    parameters.push_back({concat(name, ".lora_b"), at::zeros({2, 3}), 1, true, made});
  }
  int64_t num_own = 0;
  for (int rank = 0; rank < 2; ++rank) {
    const Shares shares(parameters, rank, 2);
    REQUIRE(shares.leaves().size() == 3);
    const Parameters own = shares.own_parameters();
    num_own += static_cast<int64_t>(own.size());
    REQUIRE(own.size() % 2 == 0);
    for (size_t i = 0; i < own.size(); i += 2) {
      CHECK(own[i].made.is_same(own[i + 1].made));
      CHECK(own[i].value.numel() == 3 * kBlockElements);
    }
    for (const Shares::Leaf& leaf : shares.leaves()) {
      CHECK((!leaf.own.defined() || leaf.own.is_same(leaf.value)));
    }
  }
  CHECK(num_own == 6);
}

TEST_CASE("more ranks than blocks: some have nothing to keep", "[trainer][shares]") {
  const Parameters parameters = {{"w", at::zeros({10})}};
  int64_t sum = 0;
  for (int rank = 0; rank < 4; ++rank) {
    const Shares shares(parameters, rank, 4);
    sum += shares.of(rank).count;
    CHECK(shares.own_parameters().size() == (shares.of(rank).count > 0 ? 1 : 0));
  }
  CHECK(sum == 10);
}

}  // namespace
}  // namespace polygraft::trainer
