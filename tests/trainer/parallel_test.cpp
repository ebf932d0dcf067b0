// tests/trainer/parallel_test.cpp: several ranks train what one process trains, bit for bit,
// whatever the grid; and a run may go on with another number of ranks.
#include <algorithm>
#include <catch2/catch.hpp>

#include "model/kernels/dispatch.h"
#include "tests/model/parallel/in_process.h"
#include "tests/model/parallel/patience.h"
#include "tests/trainer/rank_runs.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/parallel/run_ranks.h"
#include "trainer/trainer.h"

namespace polygraft::trainer {
namespace {

using parallel::GridShape;
using testing::file_hashes;
using testing::Killed;
using testing::metrics_of;
using testing::mortal;
using testing::TemporaryFolder;
using testing::train_on;

/// Several pieces a step, a number that few grids divide, some without text of one kind.
TrainJob pieces_job(const std::string& mode, const fs::path& run) {
  TrainJob job = mode == "scratch" ? testing::scratch_job(run) : testing::additions_job(run);
  job.train.micro_batch_tokens = 32;
  job.train.tokens = 128 * 4;
  if (mode == "hinge" || mode == "polyak" || mode == "prior" || mode == "none") {
    job.train.protect.method = mode;
  }
  if (mode == "weightless") job.train.protect.kl = 0;
  if (mode == "none-but-router") {
    job.train.trainable = mode;
    job.languages = {"cc"};
  }
  testing::set_mode(job, mode);
  if (mode == "rollback") job.train.tokens = 128 * 12;
  return job;
}

bool same_results(const TrainJob& a, const TrainJob& b) {
  return file_hashes(a.output) == file_hashes(b.output) &&
         metrics_of(a.run_dir) == metrics_of(b.run_dir);
}

bool rolled_back(const TrainJob& job) {
  const std::vector<Json> lines = metrics_of(job.run_dir);
  return std::any_of(lines.begin(), lines.end(), [](const Json& line) {
    return line.contains("budget") && line["budget"]["action"] == "rollback";
  });
}

}  // namespace

TEST_CASE("every grid of ranks trains the same bits as one process", "[trainer][parallel]") {
  const auto mode =
      GENERATE(as<std::string>{}, "rollback", "kl", "weightless", "hinge", "polyak", "prior",
               "none", "none-but-router", "scratch", "all", "lora", "self", "quoted");
  const TemporaryFolder folder;
  const TrainJob one = pieces_job(mode, folder / "one");
  train(one);
  CHECK(rolled_back(one) == (mode == "rollback"));
  const TrainJob two = pieces_job(mode, folder / "two");
  train_on({2, 1}, two);
  // Alone, a processor without fast kernels computes experts by other products.
  CHECK((same_results(two, one) || !kernels::operations().is_fast));
  std::vector<std::pair<int, int>> grids = {{1, 3}, {2, 2}};
  if (mode == "kl") grids.insert(grids.end(), {{4, 1}, {1, 2}});
  for (const auto& [ep, dp] : grids) {
    INFO(mode << ": ep " << ep << ", dp " << dp);
    const TrainJob job = pieces_job(mode, folder / concat("grid-", ep, "-", dp));
    train_on({ep, dp}, job);
    CHECK(same_results(job, ep > 1 ? two : one));
  }
}

TEST_CASE("the first rank alone reads the corpus", "[trainer][parallel]") {
  const TemporaryFolder folder;
  const TrainJob one = pieces_job("kl", folder / "one");
  train(one);
  const TrainJob job = pieces_job("kl", folder / "run");
  parallel::run_in_threads(2, testing::kPatience, [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {1, 2});
    TrainJob own = job;
    own.ranks = &grid;
    for (auto& [language, texts] : own.corpus.languages) {
      if (world.rank() > 0) texts.train = {(folder / "nowhere.txt").string()};
    }
    train(own);
  });
  CHECK(same_results(job, one));
}

TEST_CASE("a run goes on with another number of ranks, to the same bits", "[trainer][parallel]") {
  const TemporaryFolder folder;
  const TrainJob whole = pieces_job("kl", folder / "whole");
  train_on({2, 1}, whole);
  const TrainJob job = pieces_job("kl", folder / "run");
  CHECK_THROWS_AS(train_on({2, 1}, mortal(job, 1)), Killed);
  CHECK_THROWS_AS(train_on({1, 1}, mortal(job, 2)), Killed);
  CHECK_THROWS_AS(train_on({4, 1}, mortal(job, 3)), Killed);
  train_on({2, 2}, job);
  CHECK((same_results(job, whole) || !kernels::operations().is_fast));
}

TEST_CASE("a rank that fails ends the others, and leaves the last checkpoint",
          "[trainer][parallel]") {
  const TemporaryFolder folder;
  const TrainJob job = pieces_job("kl", folder / "run");
  std::vector<std::string> heard(2);
  const auto work = [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {2, 1});
    TrainJob own = mortal(job, world.rank() == 1 ? 3 : 100);
    own.ranks = &grid;
    try {
      train(own);
    } catch (const parallel::RankError& error) {
      heard[static_cast<size_t>(world.rank())] = error.what();
      throw;
    }
  };
  CHECK_THROWS_AS(parallel::run_in_threads(2, testing::kPatience, work), Killed);
  CHECK_THAT(heard[0], Catch::Contains("rank 1"));
  CHECK(heard[1].empty());
  CHECK(fs::exists(job.run_dir / "checkpoint-2" / "state.json"));
  CHECK_FALSE(fs::exists(job.run_dir / "checkpoint-3"));  // rank 1's moments are lost
  CHECK_FALSE(fs::exists(job.output));
}

TEST_CASE("ranks that are about to do different things are refused", "[trainer][parallel]") {
  const TemporaryFolder folder;
  const auto work = [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {1, 2});
    TrainJob own = pieces_job("kl", folder / "run");
    own.seed += static_cast<uint64_t>(world.rank());
    own.ranks = &grid;
    train(own);
  };
  CHECK_THROWS_WITH(parallel::run_in_threads(2, testing::kPatience, work),
                    Catch::Contains("rank 1") && Catch::Contains("rank 0"));
}

TEST_CASE("weights that ranks do not agree on are not written", "[trainer][parallel]") {
  const auto work = [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {1, 3});
    Parameters parameters(2);
    parameters[0].value = at::ones({3});
    parameters[1].value = at::zeros({2, 2});
    const RunRanks ranks(&grid);
    ranks.require_same_values(parameters);
    if (world.rank() == 1) parameters[1].value[1][0] = 1e-30;
    ranks.require_same_values(parameters);
  };
  std::string said;
  const auto heard = [&](parallel::Communicator& world) {
    try {
      work(world);
    } catch (const parallel::RankError& error) {
      if (world.rank() == 0) said = error.what();
    }
  };
  parallel::run_in_threads(3, testing::kPatience, heard);
  CHECK_THAT(said, Catch::Contains("rank 1") && Catch::Contains("other weights"));
  CHECK_NOTHROW(RunRanks(nullptr).require_same_values({}));
}

TEST_CASE("several ranks need a step that is cut into pieces", "[trainer][parallel]") {
  const TemporaryFolder folder;
  TrainJob job = pieces_job("kl", folder / "run");
  job.train.micro_batch_tokens = 0;
  CHECK_THROWS_WITH(train_on({1, 2}, job),
                    Catch::Contains("train.micro_batch_tokens") && Catch::Contains("about 96"));
  CHECK_FALSE(fs::exists(job.run_dir));
}

}  // namespace polygraft::trainer
