// model/parallel/nccl_channel.h: what the NCCL transport stands on: this rank's GPU, the store
// where the ranks meet, and one NCCL communicator for each group. Communicators do not block, so
// that every wait ends: with what it waits for, at the timeout, at an error of NCCL's, or at a
// farewell in the store.
#pragma once
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "model/parallel/launch.h"
#include "model/parallel/standstill.h"

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

class NcclChannel;

/// What all groups of a process share.
struct NcclShared {
  NcclShared(const Launch& launch, Timeout timeout_in, Store store_in, cudaStream_t exchanges_in,
             cudaStream_t copies_in);

  int rank = 0, size = 1;
  Timeout timeout;
  Store store;
  cudaStream_t exchanges = nullptr, copies = nullptr;  ///< streams
  int num_groups = 0;                        ///< the same on all ranks when they make the same ones
  bool are_others_gone = false;              ///< found out when this rank's own work was done
  std::pair<std::string, std::string> lost;  ///< who was given up, and why
  std::vector<const NcclChannel*> channels;  ///< of all groups

  /// The GPU follows an exchange, and the CPU goes on; until this is called again, or
  /// see_all_done().
  void go_ahead();
  /// The CPU has waited for whatever was followed.
  void see_all_done() { standstill_.done(); }

  /// Leaves word for the others of who is to blame: this rank, or one that it lost. The first word
  /// counts.
  void say_farewell(const std::string& why) const;

  /// Pauses until is_done(). @param awaited members by world rank, for the error. @throws
  /// RankError.
  void wait_until(const std::function<bool()>& is_done, const std::vector<int>& awaited);

 private:
  /// is_done() and the channels, whose errors name nobody. @throws RankError that names one.
  bool ask(const std::function<bool()>& is_done, const std::vector<int>& awaited);
  /// @throws RankError when a rank has said that it leaves, or the store has gone.
  void look_for_losses();
  std::string others_of(const std::vector<int>& awaited) const;
  [[noreturn]] void lose(const std::string& who, const std::string& why);
  [[noreturn]] void end_process() const;

  Standstill standstill_;
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
  /// Whether NCCL has not taken up yet what was asked of it. @throws RankError when it has an error
  /// to report.
  bool is_busy() const;

 private:
  ncclUniqueId agree_on_id() const;

  NcclShared& shared_;
  std::vector<int> members_;
  ncclComm_t comm_ = nullptr;
  int exceptions_before_;
};

}  // namespace polygraft::parallel
