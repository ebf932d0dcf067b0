// cli/ranks.h: the processes that mpirun, srun or torchrun started with one command.
#pragma once
#include <memory>
#include <optional>

#include "cli/command.h"
#include "model/parallel/launch.h"
#include "model/parallel/rank_grid.h"
#include "model/parallel/team.h"
#include "trainer/trainer.h"

namespace polygraft::cli {

/// The ranks that share the work of this command; a process that was started alone has none.
class Ranks {
 public:
  /// Joins the others, unless this is a dry run. @param shape of a command that has
  /// add_grid_options(). @throws ConfigError when it does not fit their number; RankError when one
  /// does not come.
  explicit Ranks(const Arguments& arguments, parallel::GridShape shape = {});

  /// Threads for this process where torchrun has set one for each, as it does for several: its
  /// share of this host's cores. 0 elsewhere.
  static int64_t share_of_cores();

  /// What was started, before any is joined.
  static trainer::Processes processes();

  const parallel::RankGrid* grid() const { return grid_ ? &*grid_ : nullptr; }
  parallel::Team team() const { return parallel::Team(world_.get()); }
  /// Whether this is the one that logs and prints.
  bool is_first() const { return launch_.rank == 0; }

  static void add_options(po::options_description& options);
  /// --ep and --dp besides.
  static void add_grid_options(po::options_description& options);
  static parallel::GridShape grid_shape(const Arguments& arguments);

 private:
  parallel::Launch launch_;
  std::unique_ptr<parallel::Communicator> world_;
  std::optional<parallel::RankGrid> grid_;
};

/// @throws ConfigError when a launcher started this command more than once.
void require_one_process(const std::string& command);

}  // namespace polygraft::cli
