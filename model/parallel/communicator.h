// model/parallel/communicator.h: what the processes of one run say to each other. Everything is
// made of one operation, the uneven all-to-all: an implementation provides that, and reductions are
// sums in rank order, the same bits on every transport and from run to run. Implementations:
// mpi.h (processes on CPUs) and nccl.h (processes with GPUs). A rank that ends, or that does not
// answer within the timeout, makes every wait of the others throw a RankError that names it.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/error.h"
#include "model/parallel/slice.h"

namespace polygraft::parallel {

using Bytes = std::span<std::byte>;
using ConstBytes = std::span<const std::byte>;

/// Another process of this run that has ended or does not answer. Exit 1.
class RankError : public ErrorParts<RankError> {
 public:
  RankError(const std::string& ranks, const std::string& problem)
      : ErrorParts("rank error", ExitCode::kRuntime, ranks, problem) {}
};

/// One rank's side of an uneven all-to-all. Both sides know the sizes; 0 is one.
struct Exchange {
  std::vector<ConstBytes> send;  ///< by receiving rank
  std::vector<Bytes> receive;    ///< by sending rank
};

/// A communication under way. The memory that it was given must stay until wait() or follow() has
/// returned, and one of them must be called.
class Pending {
 public:
  virtual ~Pending() = default;
  /// @throws RankError naming a rank that ended or did not answer.
  virtual void wait() = 0;
  /// What this process's GPU is told from here on finds it done; the CPU goes on, a few exchanges
  /// ahead at most. As wait() where any of the memory is the CPU's. @throws RankError of an earlier
  /// one's.
  virtual void follow() { wait(); }
};
using PendingPtr = std::unique_ptr<Pending>;

/// 0 to size - 1: the members of the group of all.
std::vector<int> all_ranks(int size);

/// Who a group consists of, by ranks of the whole world, and which of them this process is.
struct Membership {
  std::vector<int> members;
  int rank = 0;

  /// Of a subgroup, by ranks of this group.
  Membership subgroup(const std::vector<int>& ranks) const;
};

/// A group of ranks. Its members call the same operations in the same order, each from one thread
/// at a time; several may be under way.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Whether what is exchanged may lie on this process's GPU.
  virtual bool takes_gpu_memory() const { return false; }
  /// Waits until this process's GPU has done what it has been told. To be called before anything
  /// else makes the CPU wait for a GPU that follows an exchange: CUDA would wait for a lost rank
  /// for ever. @throws RankError.
  virtual void wait_for_gpu() {}

  /// A group of some members, by their ranks in this one, ascending. Every member of this group
  /// calls it, with its own group's ranks. The new group ends before this one does.
  virtual std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) = 0;

  /// Says that this rank leaves before the work is done; the others' waits then throw. Never
  /// throws.
  virtual void abandon(const std::string& why) noexcept = 0;

  [[nodiscard]] PendingPtr start_all_to_all_v(const Exchange& exchange);
  /// @param all [size, mine.size()], by rank.
  [[nodiscard]] PendingPtr start_all_gather(ConstBytes mine, Bytes all);
  /// `bytes` of `root` into everyone's.
  [[nodiscard]] PendingPtr start_broadcast(Bytes bytes, int root);
  /// `bytes` of rank `from` into those of rank `to`; what the others have is not looked at. They
  /// call it too.
  [[nodiscard]] PendingPtr start_send(Bytes bytes, int from, int to);
  /// @param all the slices of all ranks side by side, slice_of(all.size() / element, rank, size)
  /// each; this rank's own is in place.
  [[nodiscard]] PendingPtr start_all_gather_slices(Bytes all, int64_t element_bytes);

  void all_to_all_v(const Exchange& exchange) { start_all_to_all_v(exchange)->wait(); }
  void all_gather(ConstBytes mine, Bytes all) { start_all_gather(mine, all)->wait(); }
  void broadcast(Bytes bytes, int root) { start_broadcast(bytes, root)->wait(); }
  void barrier();

  /// What this rank has sent to others so far, by any of these operations.
  uint64_t bytes_sent() const { return bytes_sent_; }

  /// slice[i] = sum over ranks, in rank order, of their values[first of this rank's slice + i].
  /// @param values as many on every rank. @param slice slice_of(values.size(), rank, size).
  template <class T>
  void reduce_scatter_sum(std::span<const T> values, std::span<T> slice);
  /// values[i] = sum over ranks, in rank order.
  template <class T>
  void all_reduce_sum(std::span<T> values);

 protected:
  /// Everything but this rank's own part, which is done.
  virtual PendingPtr start(const Exchange& others) = 0;
  /// This rank's part for itself, elsewhere; done when start()'s Pending is.
  virtual void copy_own(ConstBytes from, Bytes to);

 private:
  uint64_t bytes_sent_ = 0;
};

/// How long the others are waited for.
using Timeout = std::chrono::milliseconds;

}  // namespace polygraft::parallel
