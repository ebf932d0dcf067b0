// model/parallel/launch.h: how this process was started: alone, or as one rank of several by
// mpirun, torchrun or srun, which say so in environment variables.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "model/parallel/communicator.h"

namespace polygraft::parallel {

struct Launch {
  std::string launcher;  ///< "mpirun", "torchrun", "srun"; empty: one process, started by itself
  std::string sign;      ///< the environment variable that says so
  int rank = 0, size = 1;
  int local_rank = 0;   ///< among the processes of this host: which GPU
  int local_size = 1;   ///< processes of this host, where torchrun says it
  std::string address;  ///< of rank 0, where torchrun or srun say it
  int port = 0;
  bool store_is_up = false;  ///< torchrun itself keeps the store at that address
  int attempt = 0;           ///< how often torchrun has started all anew, with the same store

  /// Whether join_world() gives each process a GPU, over NCCL.
  bool meets_on_gpus() const { return launcher == "torchrun"; }
};

/// @param variable the value of an environment variable, or nothing.
/// @throws ConfigError for a variable that is no number, or a rank outside the world.
Launch read_launch(const std::function<std::optional<std::string>(const std::string&)>& variable);

/// Joins the other processes of the launch: by NCCL where it was compiled in and torchrun started
/// them, by MPI otherwise. @throws ConfigError when this program cannot join such processes;
/// RankError when one does not come.
std::unique_ptr<Communicator> join_world(const Launch& launch, Timeout timeout);

}  // namespace polygraft::parallel
