// model/parallel/nccl.h: ranks as processes that torchrun started, one GPU each, over NCCL. They
// meet at c10d's TCPStore, at torchrun's address, which carries NCCL's unique ids and farewells.
#pragma once
#include "model/parallel/launch.h"

namespace polygraft::parallel {

/// Takes the GPU of this rank (`local_rank`) and joins the others. What is exchanged may lie on
/// that GPU, ordered after the work of its default stream, or in host memory, which goes through
/// it; sums take host memory. @throws DeviceError when there is no GPU for this rank; RankError
/// when another does not come. A rank that is killed is not told from one that is slow: those who
/// wait name all whom they wait for, after the timeout.
std::unique_ptr<Communicator> join_nccl(const Launch& launch, Timeout timeout);

}  // namespace polygraft::parallel
