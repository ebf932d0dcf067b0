// tests/model/parallel/mpi_check.cpp: the collectives between processes; run by CTest under mpirun.
//   mpi_check            every collective over random sizes, in the world and in a grid's rows
//   mpi_check lose R     rank R kills itself in the middle; the others must name it and exit with 1
//   mpi_check throw R    rank R leaves with an error; the others must name it
//   mpi_check stop R     rank R stops answering; the others must name it after the timeout
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "core/text.h"
#include "model/parallel/launch.h"
#include "model/parallel/rank_grid.h"
#include "tests/model/parallel/random_exchange.h"

namespace polygraft::testing {
namespace {

parallel::Launch own_launch() {
  return parallel::read_launch([](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

void require(const std::string& wrong) {
  if (!wrong.empty()) throw NumericError(wrong, "gives something wrong");
}

void check_collectives(parallel::Communicator& world) {
  for (uint64_t seed = 0; seed < 20; ++seed) require(wrong_collective(world, seed));
  const parallel::RankGrid grid(world, {world.size() % 2 == 0 ? 2 : 1, 0});
  for (uint64_t seed = 0; seed < 5; ++seed) {
    RandomExchange in_world(world, 100 + seed), in_row(grid.experts(), 200 + seed);
    if (!in_row.is_right() || !in_world.is_right()) require("a grid's row beside its world");
  }
  std::vector<std::byte> large(size_t{3} << 20, static_cast<std::byte>(world.rank()));
  world.broadcast(large, world.size() - 1);
  if (large.back() != static_cast<std::byte>(world.size() - 1)) require("a large broadcast");
}

void fail(parallel::Communicator& world, const std::string& how, int who) {
  world.barrier();
  if (world.rank() == who) {
    if (how == "lose") raise(SIGKILL);
    if (how == "throw") throw NumericError("the loss", "is not finite");
    std::this_thread::sleep_for(std::chrono::seconds(8));
    std::_Exit(0);
  }
  world.barrier();
}

int run(int argc, char** argv) {
  const auto world = parallel::join_world(own_launch(), parallel::Timeout(argc > 1 ? 2000 : 60000));
  argc > 2 ? fail(*world, argv[1], std::atoi(argv[2])) : check_collectives(*world);
  std::printf("rank %d of %d: all right\n", world->rank(), world->size());
  return 0;
}

}  // namespace
}  // namespace polygraft::testing

int main(int argc, char** argv) {
  try {
    return polygraft::testing::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
