// model/parallel/rank_grid.cpp: see rank_grid.h.
#include "model/parallel/rank_grid.h"

#include "core/text.h"

namespace polygraft::parallel {
namespace {

std::vector<int> row_of(int rank, int ep) {
  std::vector<int> ranks;
  for (int i = 0; i < ep; ++i) ranks.push_back(rank / ep * ep + i);
  return ranks;
}

}  // namespace

GridShape resolve_grid(GridShape asked, int64_t world_size) {
  if (asked.ep < 0 || asked.dp < 0) {
    throw ConfigError("--ep, --dp", "must not be negative").found(concat(asked.ep, ", ", asked.dp));
  }
  GridShape shape = asked;
  if (shape.ep == 0) shape.ep = shape.dp > 0 ? world_size / shape.dp : 1;
  if (shape.dp == 0) shape.dp = world_size / shape.ep;
  if (shape.ep * shape.dp == world_size) return shape;
  const auto said = [](int64_t number) { return number > 0 ? concat(number) : "(not given)"; };
  throw ConfigError("--ep, --dp", "do not multiply to the number of processes")
      .expected(concat("ep x dp = ", world_size))
      .found(concat("ep ", said(asked.ep), ", dp ", said(asked.dp)))
      .hint("start as many processes, or leave one of the two out");
}

RankGrid::RankGrid(Communicator& world, GridShape asked)
    : world_(world),
      shape_(resolve_grid(asked, world.size())),
      experts_(world.subgroup(row_of(world.rank(), ep()))) {}

}  // namespace polygraft::parallel
