// model/parallel/join.cpp: which transport carries a launch; see launch.h.
#include "core/text.h"
#include "model/parallel/launch.h"
#include "model/parallel/mpi.h"
#ifdef POLYGRAFT_NCCL
#include "model/parallel/nccl.h"
#endif

namespace polygraft::parallel {

std::unique_ptr<Communicator> join_world(const Launch& launch, Timeout timeout) {
  if (!launch.meets_on_gpus()) return join_mpi(launch, timeout);
#ifdef POLYGRAFT_NCCL
  return join_nccl(launch, timeout);
#else
  throw ConfigError("torchrun", "starts processes that meet over NCCL, which this build lacks")
      .hint("on CPUs start them with mpirun or srun; for GPUs build the preset `cuda`");
#endif
}

}  // namespace polygraft::parallel
