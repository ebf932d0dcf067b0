// model/parallel/nccl_channel.h: what the NCCL transport stands on: this rank's GPU, the store
// where the ranks meet, and one NCCL communicator for each group. Communicators do not block, so
// that every wait ends: with what it waits for, at the timeout, at an error of NCCL's, or at a
// farewell in the store.
#pragma once
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "model/parallel/launch.h"

namespace polygraft::parallel {

/// @throws DeviceError, RankError: with the library's words.
void check(cudaError_t result, const char* what);
void check(ncclResult_t result, const char* what);

/// Makes the GPU of this rank the current one. @throws DeviceError when there is none.
void take_gpu(const Launch& launch);

using Store = c10::intrusive_ptr<c10d::Store>;

/// What an earlier attempt has left in torchrun's store is not seen.
/// @throws RankError when rank 0 is not there.
Store meet(const Launch& launch, Timeout timeout);

/// What all groups of a process share.
struct NcclShared {
  int rank = 0, size = 1;
  Timeout timeout;
  Store store;
  cudaStream_t exchanges = nullptr, copies = nullptr;  ///< streams
  int num_groups = 0;                        ///< the same on all ranks when they make the same ones
  bool are_others_gone = false;              ///< found out when this rank's own work was done
  std::pair<std::string, std::string> lost;  ///< who was given up, and why

  /// Leaves word for the others of who is to blame: this rank, or one that it lost. The first word
  /// counts.
  void say_farewell(const std::string& why) const;

  /// Pauses until is_done(). @param awaited members by world rank, for the error. @throws
  /// RankError.
  void wait_until(const std::function<bool()>& is_done, const std::vector<int>& awaited);

 private:
  /// is_done(), whose error names nobody. @throws RankError that names one.
  bool ask(const std::function<bool()>& is_done, const std::vector<int>& awaited);
  /// @throws RankError when a rank has said that it leaves, or the store has gone.
  void look_for_losses();
  std::string others_of(const std::vector<int>& awaited) const;
  [[noreturn]] void lose(const std::string& who, const std::string& why);
};

/// A group's NCCL communicator.
class NcclChannel {
 public:
  /// @param members by world rank, ascending. @param rank this process's among them.
  NcclChannel(NcclShared& shared, const std::vector<int>& members, int rank);
  ~NcclChannel();
  NcclChannel(const NcclChannel&) = delete;
  NcclChannel& operator=(const NcclChannel&) = delete;

  ncclComm_t comm() const { return comm_; }
  const std::vector<int>& members() const { return members_; }

  /// Waits until NCCL has taken up what was asked of it. @throws RankError.
  void settle() const;
  /// @throws RankError when NCCL has an error to report.
  bool is_busy() const;

 private:
  ncclUniqueId agree_on_id() const;

  NcclShared& shared_;
  std::vector<int> members_;
  ncclComm_t comm_ = nullptr;
  int exceptions_before_;
};

}  // namespace polygraft::parallel
