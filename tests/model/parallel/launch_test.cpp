// tests/model/parallel/launch_test.cpp: what launchers say in the environment, and grids of ranks.
#include "model/parallel/launch.h"

#include <catch2/catch.hpp>
#include <map>

#include "model/parallel/rank_grid.h"
#include "tests/model/parallel/in_process.h"

namespace polygraft::testing {
namespace {

using parallel::Launch;
using Variables = std::map<std::string, std::string>;

Launch launch_of(const Variables& variables) {
  return parallel::read_launch([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

const Variables kTorchrun = {{"RANK", "5"},
                             {"WORLD_SIZE", "8"},
                             {"LOCAL_RANK", "1"},
                             {"LOCAL_WORLD_SIZE", "4"},
                             {"MASTER_ADDR", "10.0.0.7"},
                             {"MASTER_PORT", "29500"}};

}  // namespace

TEST_CASE("each launcher's variables are read", "[parallel]") {
  const Launch mpirun = launch_of({{"OMPI_COMM_WORLD_RANK", "3"},
                                   {"OMPI_COMM_WORLD_SIZE", "4"},
                                   {"OMPI_COMM_WORLD_LOCAL_RANK", "1"}});
  CHECK((mpirun.launcher == "mpirun" && mpirun.rank == 3 && mpirun.size == 4 &&
         mpirun.local_rank == 1));
  const Launch torchrun = launch_of(kTorchrun);
  CHECK((torchrun.launcher == "torchrun" && torchrun.rank == 5 && torchrun.size == 8));
  CHECK((torchrun.local_rank == 1 && torchrun.address == "10.0.0.7" && torchrun.port == 29500));
  CHECK((!torchrun.store_is_up && torchrun.meets_on_gpus() && !mpirun.meets_on_gpus()));
  CHECK(torchrun.local_size == 4);
  auto with_store = kTorchrun;
  with_store["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  CHECK((launch_of(with_store).store_is_up && launch_of(with_store).attempt == 0));
  with_store["TORCHELASTIC_RESTART_COUNT"] = "2";
  CHECK(launch_of(with_store).attempt == 2);
  const Launch srun = launch_of({{"SLURM_STEP_ID", "0"},
                                 {"SLURM_PROCID", "6"},
                                 {"SLURM_NTASKS", "7"},
                                 {"SLURM_LAUNCH_NODE_IPADDR", "10.1.2.3"}});
  CHECK(
      (srun.launcher == "srun" && srun.rank == 6 && srun.size == 7 && srun.address == "10.1.2.3"));
}

TEST_CASE("a process that no launcher started is alone, in a batch script too", "[parallel]") {
  CHECK((launch_of({}).size == 1 && launch_of({}).launcher.empty()));
  CHECK(launch_of({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "64"}}).size == 1);
}

TEST_CASE("mpirun inside a batch step counts, not the step", "[parallel]") {
  const Launch launch = launch_of({{"OMPI_COMM_WORLD_RANK", "0"},
                                   {"OMPI_COMM_WORLD_SIZE", "2"},
                                   {"SLURM_STEP_ID", "0"},
                                   {"SLURM_PROCID", "0"},
                                   {"SLURM_NTASKS", "1"}});
  CHECK((launch.launcher == "mpirun" && launch.size == 2));
  CHECK(launch.sign == "OMPI_COMM_WORLD_SIZE");
}

TEST_CASE("half of a launcher's variables, or nonsense, is refused by name", "[parallel]") {
  CHECK_THROWS_WITH(launch_of({{"WORLD_SIZE", "2"}}),
                    Catch::Contains("RANK") && Catch::Contains("torchrun"));
  CHECK_THROWS_WITH(launch_of({{"OMPI_COMM_WORLD_RANK", "x"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
                    Catch::Contains("OMPI_COMM_WORLD_RANK") && Catch::Contains("found:    x"));
  CHECK_THROWS_WITH(launch_of({{"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "2"}}),
                    Catch::Contains("below OMPI_COMM_WORLD_SIZE = 2"));
}

TEST_CASE("CPU processes of torchrun are told to use mpirun", "[parallel]") {
#ifndef POLYGRAFT_NCCL
  CHECK_THROWS_WITH(parallel::join_world(launch_of(kTorchrun), parallel::Timeout(1)),
                    Catch::Contains("mpirun"));
#endif
}

TEST_CASE("ep and dp must multiply to the world", "[parallel]") {
  const auto shape = [](int64_t ep, int64_t dp, int64_t size) {
    const auto resolved = parallel::resolve_grid({ep, dp}, size);
    return std::pair(resolved.ep, resolved.dp);
  };
  CHECK(shape(0, 0, 6) == std::pair<int64_t, int64_t>(1, 6));
  CHECK(shape(2, 0, 6) == std::pair<int64_t, int64_t>(2, 3));
  CHECK(shape(0, 2, 6) == std::pair<int64_t, int64_t>(3, 2));
  CHECK_THROWS_WITH(shape(2, 2, 6),
                    Catch::Contains("ep x dp = 6") && Catch::Contains("ep 2, dp 2"));
  CHECK_THROWS_AS(shape(4, 0, 6), ConfigError);
  CHECK_THROWS_AS(shape(0, 7, 6), ConfigError);
  CHECK_THROWS_AS(shape(-1, 0, 6), ConfigError);
}

TEST_CASE("a row of the grid holds neighbouring ranks", "[parallel]") {
  std::vector<int> rows(6, -1), places(6, -1);
  parallel::run_in_threads(6, parallel::Timeout(20000), [&](parallel::Communicator& world) {
    const parallel::RankGrid grid(world, {2, 3});
    int64_t least = world.rank();
    std::vector<int64_t> members(2);
    grid.experts().all_gather(std::as_bytes(std::span(&least, 1)),
                              std::as_writable_bytes(std::span(members)));
    rows[static_cast<size_t>(world.rank())] = static_cast<int>(members[0]);
    places[static_cast<size_t>(world.rank())] = grid.experts().rank();
  });
  CHECK(rows == std::vector<int>{0, 0, 2, 2, 4, 4});
  CHECK(places == std::vector<int>{0, 1, 0, 1, 0, 1});
}

}  // namespace polygraft::testing
