// tests/model/parallel/in_process.cpp: see in_process.h.
#include "tests/model/parallel/in_process.h"

#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "core/text.h"

namespace polygraft::parallel {
namespace {

/// Letters on their way.
class PostOffice {
 public:
  struct Route {
    int64_t group, exchange;  // the group's how-many-th
    int from, to;             // ranks in the world
    auto operator<=>(const Route&) const = default;
  };

  void post(Route route, ConstBytes bytes) {
    const std::lock_guard lock(mutex_);
    letters_[route].assign(bytes.begin(), bytes.end());
    changed_.notify_all();
  }

  /// @throws RankError when the sender has left, or after the timeout.
  void collect(Route route, Bytes to, Timeout timeout) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout,
                      [&] { return letters_.count(route) > 0 || left_.has_value(); });
    const auto letter = letters_.find(route);
    if (letter == letters_.end()) {
      if (left_) throw RankError(concat("rank ", left_->first), left_->second);
      throw RankError(concat("rank ", route.from), "does not answer")
          .expected(concat("an answer within ", timeout.count(), " ms"));
    }
    if (letter->second.size() != to.size()) {
      throw std::logic_error(concat("rank ", route.from, " sent ", letter->second.size(),
                                    " bytes, expected ", to.size()));
    }
    std::copy(letter->second.begin(), letter->second.end(), to.begin());
    letters_.erase(letter);
  }

  void leave(int rank, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (!left_) left_.emplace(rank, why);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Route, std::vector<std::byte>> letters_;
  std::optional<std::pair<int, std::string>> left_;  // the first rank that left, and why
};

class InProcessGroup : public Communicator {
 public:
  InProcessGroup(PostOffice& office, std::vector<int> members, int rank, Timeout timeout,
                 int64_t group)
      : office_(office),
        members_(std::move(members)),
        rank_(rank),
        timeout_(timeout),
        group_(group) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) override {
    const Membership inner = Membership{members_, rank_}.subgroup(ranks);
    constexpr int64_t kMostSubgroups = 1000;
    return std::make_unique<InProcessGroup>(office_, inner.members, inner.rank, timeout_,
                                            group_ * kMostSubgroups + ++num_subgroups_);
  }

  void abandon(const std::string& why) noexcept override {
    office_.leave(members_[static_cast<size_t>(rank_)], why);
  }

 protected:
  PendingPtr start(const Exchange& others) override {
    for (int r = 0; r < size(); ++r) {
      const ConstBytes part = others.send[static_cast<size_t>(r)];
      if (r != rank_ && !part.empty()) office_.post(route(num_exchanges_, rank_, r), part);
    }
    return std::make_unique<Arrival>(*this, others.receive, num_exchanges_++);
  }

 private:
  class Arrival : public Pending {
   public:
    Arrival(InProcessGroup& group, std::vector<Bytes> receive, int64_t exchange)
        : group_(group), receive_(std::move(receive)), exchange_(exchange) {}
    void wait() override {
      for (int r = 0; r < group_.size(); ++r) {
        const Bytes part = receive_[static_cast<size_t>(r)];
        if (r == group_.rank_ || part.empty()) continue;
        group_.office_.collect(group_.route(exchange_, r, group_.rank_), part, group_.timeout_);
      }
    }

   private:
    InProcessGroup& group_;
    std::vector<Bytes> receive_;
    int64_t exchange_;
  };

  PostOffice::Route route(int64_t exchange, int from, int to) const {
    return {group_, exchange, members_[static_cast<size_t>(from)],
            members_[static_cast<size_t>(to)]};
  }

  PostOffice& office_;
  std::vector<int> members_;  // ranks in the world
  int rank_;
  Timeout timeout_;
  int64_t group_, num_subgroups_ = 0, num_exchanges_ = 0;
};

void rethrow_first(const std::vector<std::exception_ptr>& thrown) {
  std::exception_ptr consequence;
  for (const std::exception_ptr& exception : thrown) {
    if (!exception) continue;
    try {
      std::rethrow_exception(exception);
    } catch (const RankError&) {
      if (!consequence) consequence = exception;  // of what another rank threw, if one did
    }
  }
  if (consequence) std::rethrow_exception(consequence);
}

}  // namespace

void run_in_threads(int num_ranks, Timeout timeout,
                    const std::function<void(Communicator& world)>& work) {
  PostOffice office;
  std::vector<int> members;
  for (int r = 0; r < num_ranks; ++r) members.push_back(r);
  std::vector<std::exception_ptr> thrown(members.size());
  std::vector<std::thread> threads;
  for (const int r : members) {
    threads.emplace_back([&, r] {
      InProcessGroup world(office, members, r, timeout, 0);
      try {
        work(world);
      } catch (...) {
        thrown[static_cast<size_t>(r)] = std::current_exception();
        world.abandon("stopped with an error");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  rethrow_first(thrown);
}

}  // namespace polygraft::parallel
