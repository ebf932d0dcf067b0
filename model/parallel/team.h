// model/parallel/team.h: work that consists of items, shared out over ranks: item i is rank
// i % size's. Which items there are and in which order their results are put together does not
// depend on the number of ranks, so that the result has the bits of one process.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "model/parallel/communicator.h"

namespace polygraft::parallel {

/// The ranks that share one piece of work, or one process alone, which all of this costs nothing.
class Team {
 public:
  Team() = default;
  /// @param ranks referred to; null: this process alone.
  explicit Team(Communicator* ranks) : ranks_(ranks) {}

  bool is_alone() const { return ranks_ == nullptr; }
  int rank() const { return is_alone() ? 0 : ranks_->rank(); }
  int size() const { return is_alone() ? 1 : ranks_->size(); }
  /// The only one that logs and writes.
  bool is_first() const { return rank() == 0; }

  int owner_of(size_t item) const { return static_cast<int>(item % static_cast<size_t>(size())); }
  bool owns(size_t item) const { return owner_of(item) == rank(); }

  void wait_for_all() const;

  /// `work` on the first rank, then on the others, which find what it has written.
  template <class Work>
  auto in_turn(const Work& work) const {
    if (!is_first()) wait_for_all();
    auto result = work();
    if (is_first()) wait_for_all();
    return result;
  }

  /// values[i] = sum over ranks, in rank order.
  void add_up(std::span<double> values) const;

  /// What the first rank has decided.
  int64_t as_first_says(int64_t own) const;
  std::string as_first_says(std::string own) const;

  /// All at the same place, once any of them was told to. @throws Interrupted.
  void throw_if_stopped() const;

  /// The first rank whose `text` is not the first one's; 0 when all have the same.
  int first_unlike(const std::string& text) const;
  /// @throws ConfigError naming the first rank that has not got the same `settings`.
  void require_same(const std::string& settings) const;

 private:
  friend class Deliveries;
  Communicator* ranks_ = nullptr;
};

/// Pieces of a result on their way from the ranks that have made them to those that need them.
/// Every rank of the team calls the same, in the same order; a piece's size is the same on all that
/// have to do with it, and its memory stays until wait() has returned. A process alone has all.
class Deliveries {
 public:
  /// @param team copied.
  explicit Deliveries(const Team& team) : team_(team) {}

  void to_all(int from, Bytes bytes);
  void to_one(int from, int to, Bytes bytes);
  void wait();

 private:
  Team team_;
  std::vector<PendingPtr> pending_;
};

}  // namespace polygraft::parallel
