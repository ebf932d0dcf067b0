// model/parallel/rank_grid.h: the world as a grid of expert-parallel times data-parallel ranks:
//   rank = data * ep + expert
// The ep ranks of a row share out the experts of every layer (those that train into equal slices,
// frozen ones by their rows, on GPUs into slices too) and exchange tokens; every rank computes rows
// of text of its own.
#pragma once
#include "model/parallel/communicator.h"

namespace polygraft::parallel {

/// What the user asked for; 0: whatever fits.
struct GridShape {
  int64_t ep = 0, dp = 0;
};

/// Both numbers, positive. @throws ConfigError when they do not multiply to `world_size`.
GridShape resolve_grid(GridShape asked, int64_t world_size);

class RankGrid {
 public:
  /// @param world is referred to.
  RankGrid(Communicator& world, GridShape asked);

  Communicator& world() const { return world_; }
  /// This rank's row: those who share the experts with it.
  Communicator& experts() const { return *experts_; }
  int rank() const { return world_.rank(); }
  int size() const { return world_.size(); }
  int ep() const { return static_cast<int>(shape_.ep); }
  int dp() const { return static_cast<int>(shape_.dp); }
  bool shares_experts() const { return ep() > 1; }
  /// The rank that logs and writes.
  bool is_first() const { return rank() == 0; }

 private:
  Communicator& world_;
  GridShape shape_;
  std::unique_ptr<Communicator> experts_;
};

}  // namespace polygraft::parallel
