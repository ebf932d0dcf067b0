// model/parallel/mpi.h: ranks as processes that mpirun or srun started, over Open MPI, between
// CPUs.
#pragma once
#include "model/parallel/launch.h"

namespace polygraft::parallel {

/// Starts MPI; ends it when destroyed, unless this rank leaves by an exception, which the others
/// are told. One a process. @throws ConfigError when MPI counts other processes than the launcher.
std::unique_ptr<Communicator> join_mpi(const Launch& launch, Timeout timeout);

}  // namespace polygraft::parallel
