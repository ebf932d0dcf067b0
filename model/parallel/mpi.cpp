// model/parallel/mpi.cpp: see mpi.h. Every exchange is non-blocking sends and receives that are
// looked at until they are done, a rank has ended, or the time is up: MPI's own collectives wait
// for a dead process for ever.
#include "model/parallel/mpi.h"

#include <mpi.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <mutex>
#include <thread>

#include "core/log.h"
#include "core/text.h"

namespace polygraft::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kFarewellTag = 1;    // a rank leaves early, and why
constexpr int kFirstGroupTag = 2;  // a group's messages; MPI keeps those of one tag in order
constexpr size_t kMessageBytes = size_t{1} << 30;  // counts are ints
// A sleep takes 50 us more than asked, and a step waits hundreds of times: for an exchange, or for
// a rank that has more rows of a layer. Whoever else wants the core has it meanwhile.
constexpr auto kYieldFor = std::chrono::milliseconds(20);
constexpr auto kShortestPause = std::chrono::microseconds(20);
constexpr auto kLongestPause = std::chrono::microseconds(200);
constexpr auto kBetweenLooks = std::chrono::milliseconds(100);

/// Where a rank's process is.
struct Whereabouts {
  std::array<char, 64> host{};
  std::array<char, 32> numbering{};  ///< of processes: containers of one host may each have its own
  int64_t process = 0;

  bool sees(const Whereabouts& other) const {
    return other.host == host && other.numbering == numbering;
  }
};

Whereabouts own_whereabouts() {
  Whereabouts own;
  gethostname(own.host.data(), own.host.size() - 1);
  // "pid:[4026531836]"; left empty where /proc is not mounted.
  (void)!readlink("/proc/self/ns/pid", own.numbering.data(), own.numbering.size() - 1);
  own.process = getpid();
  return own;
}

/// A process that has died is a zombie until its parent has looked.
bool has_ended(int64_t process) {
  if (kill(static_cast<pid_t>(process), 0) != 0) return errno == ESRCH;
  std::ifstream file(concat("/proc/", process, "/stat"));
  std::string text;
  std::getline(file, text);
  const size_t after_name = text.rfind(") ");
  return after_name != std::string::npos && text[after_name + 2] == 'Z';
}

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw RankError("MPI", concat(what, " failed: ", text.data()));
}

/// What a rank that leaves early tells the others: whose fault it is, itself or one that it lost.
struct Farewell {
  std::array<char, 96> who{};
  std::array<char, 160> why{};
};

/// What all groups of a process share.
struct World {
  int rank = 0, size = 1;
  Timeout timeout;
  std::vector<Whereabouts> whereabouts;  // by rank; empty until they are known
  int next_tag = kFirstGroupTag;
  std::pair<std::string, std::string> lost;  // who was given up, and why

  std::string name(int other) const {
    if (whereabouts.empty()) return concat("rank ", other);
    const Whereabouts& at = whereabouts[static_cast<size_t>(other)];
    return concat("rank ", other, " (process ", at.process, " on ", at.host.data(), ")");
  }

  /// @throws RankError when a rank has said that it leaves, or one of the awaited has ended
  /// without.
  void look_for_losses(const std::vector<int>& awaited) {
    int has_come = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, kFarewellTag, MPI_COMM_WORLD, &has_come, &status), "looking");
    if (has_come != 0) {
      Farewell farewell;
      MPI_Recv(&farewell, sizeof farewell, MPI_BYTE, status.MPI_SOURCE, kFarewellTag,
               MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      lose(farewell.who.data(), farewell.why.data());
    }
    if (whereabouts.empty()) return;
    for (const int other : awaited) {
      const Whereabouts& at = whereabouts[static_cast<size_t>(other)];
      if (whereabouts[static_cast<size_t>(rank)].sees(at) && has_ended(at.process))
        lose(name(other), "has ended in the middle of the work");
    }
  }

  [[noreturn]] void give_up(const std::vector<int>& awaited) {
    std::vector<std::string> names;
    for (const int other : awaited) names.push_back(name(other));
    lose(join(names, ", "), concat("does not answer within ", timeout.count() / 1000.0, " s"));
  }

 private:
  [[noreturn]] void lose(const std::string& who, const std::string& why) {
    lost = {who, why};
    throw RankError(who, why).hint(
        "its own output may say why; the same command continues from the last checkpoint, on any "
        "number of ranks");
  }
};

/// Sends and receives under way, each with the rank at its other end.
class Messages : public Pending {
 public:
  explicit Messages(World& world) : world_(world) {}
  /// Nothing is received any more into memory that may be gone, when a wait has failed or was never
  /// come to.
  ~Messages() override {
    for (const size_t i : receives_) {
      if (requests_[i] == MPI_REQUEST_NULL) continue;
      MPI_Cancel(&requests_[i]);
      MPI_Request_free(&requests_[i]);
    }
  }
  Messages(const Messages&) = delete;
  Messages& operator=(const Messages&) = delete;

  void send(int to, int tag, ConstBytes bytes) {
    for (size_t done = 0; done < bytes.size(); done += kMessageBytes) {
      const size_t count = std::min(kMessageBytes, bytes.size() - done);
      MPI_Request request;
      check(MPI_Isend(bytes.data() + done, static_cast<int>(count), MPI_BYTE, to, tag,
                      MPI_COMM_WORLD, &request),
            "sending");
      add(request, to);
    }
  }
  void receive(int from, int tag, Bytes bytes) {
    for (size_t done = 0; done < bytes.size(); done += kMessageBytes) {
      const size_t count = std::min(kMessageBytes, bytes.size() - done);
      MPI_Request request;
      check(MPI_Irecv(bytes.data() + done, static_cast<int>(count), MPI_BYTE, from, tag,
                      MPI_COMM_WORLD, &request),
            "receiving");
      receives_.push_back(requests_.size());
      add(request, from);
    }
  }

  void wait() override {
    const auto start = Clock::now();
    auto last_look = start;
    std::chrono::microseconds pause = kShortestPause;
    while (!are_done()) {
      const auto now = Clock::now();
      if (now - start < kYieldFor) {
        std::this_thread::yield();
        continue;
      }
      std::this_thread::sleep_for(pause);  // the cores are wanted for products
      pause = std::min(pause * 2, std::chrono::microseconds(kLongestPause));
      // A rank that has sent all that it had to may be gone by now.
      if (now - last_look < kBetweenLooks || are_done()) continue;
      last_look = now;
      world_.look_for_losses(awaited());
      if (now - start > world_.timeout) world_.give_up(awaited());
    }
  }

 private:
  void add(MPI_Request request, int other) {
    requests_.push_back(request);
    others_.push_back(other);
  }
  bool are_done() {
    int done = 0;
    check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                      MPI_STATUSES_IGNORE),
          "an exchange");
    return done != 0;
  }
  /// Ranks whose messages are not through, each once.
  std::vector<int> awaited() const {
    std::vector<int> ranks;
    for (size_t i = 0; i < requests_.size(); ++i) {
      int done = 0;
      if (requests_[i] != MPI_REQUEST_NULL) {
        MPI_Request_get_status(requests_[i], &done, MPI_STATUS_IGNORE);
      }
      const bool is_open = requests_[i] != MPI_REQUEST_NULL && done == 0;
      if (is_open && std::find(ranks.begin(), ranks.end(), others_[i]) == ranks.end()) {
        ranks.push_back(others_[i]);
      }
    }
    return ranks;
  }

  World& world_;
  std::vector<MPI_Request> requests_;
  std::vector<int> others_;
  std::vector<size_t> receives_;  // of the requests
};

class MpiGroup : public Communicator {
 public:
  MpiGroup(World& world, std::vector<int> members, int rank)
      : world_(world), members_(std::move(members)), rank_(rank), tag_(world.next_tag++) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(members_.size()); }

  std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) override {
    const Membership inner = Membership{members_, rank_}.subgroup(ranks);
    return std::make_unique<MpiGroup>(world_, inner.members, inner.rank);
  }

  void abandon(const std::string& why) noexcept override {
    static Farewell farewell;  // outlives the sends
    const bool is_own = world_.lost.first.empty();
    (is_own ? world_.name(world_.rank) : world_.lost.first).copy(farewell.who.data(), 95);
    (is_own ? why : world_.lost.second).copy(farewell.why.data(), 159);
    for (int other = 0; other < world_.size; ++other) {
      if (other == world_.rank) continue;
      MPI_Request request;  // not waited for: who does not listen any more need not hear it
      MPI_Isend(&farewell, sizeof farewell, MPI_BYTE, other, kFarewellTag, MPI_COMM_WORLD,
                &request);
      int is_sent = 0;
      MPI_Test(&request, &is_sent, MPI_STATUS_IGNORE);
    }
  }

 protected:
  PendingPtr start(const Exchange& others) override {
    auto messages = std::make_unique<Messages>(world_);
    for (int r = 0; r < size(); ++r) {  // receives first, so that nothing arrives unexpected
      if (r != rank_) messages->receive(member(r), tag_, others.receive[static_cast<size_t>(r)]);
    }
    for (int step = 1; step < size(); ++step) {  // not everyone to the same rank at once
      const int r = (rank_ + step) % size();
      messages->send(member(r), tag_, others.send[static_cast<size_t>(r)]);
    }
    return messages;
  }

 private:
  int member(int r) const { return members_[static_cast<size_t>(r)]; }

  World& world_;
  std::vector<int> members_;  // ranks in the world
  int rank_, tag_;
};

/// The group of all, which owns MPI itself.
class MpiWorld : private World, public MpiGroup {
 public:
  MpiWorld(int rank, int size, Timeout timeout)
      : World{rank, size, timeout},
        MpiGroup(static_cast<World&>(*this), all_ranks(size), rank),
        exceptions_before_(std::uncaught_exceptions()) {
    std::vector<Whereabouts> all(static_cast<size_t>(size));
    const Whereabouts own = own_whereabouts();
    all_gather(std::as_bytes(std::span(&own, 1)), std::as_writable_bytes(std::span(all)));
    whereabouts = std::move(all);
  }
  ~MpiWorld() override {
    // Finalising waits for everyone, so one that leaves early must not.
    if (std::uncaught_exceptions() > exceptions_before_) {
      abandon("stopped with an error");
    } else {
      MPI_Finalize();
    }
  }

 private:
  int exceptions_before_;
};

}  // namespace

namespace {

/// MPI_Init waits for every rank without a limit, and nothing can call it off: where one does not
/// come within the timeout, this process says so and ends.
class InitWatch {
 public:
  explicit InitWatch(Timeout timeout)
      : thread_([this, timeout](const std::stop_token& done) {
          std::unique_lock lock(mutex_);
          waiting_.wait_for(lock, done, timeout, [] { return false; });
          if (!done.stop_requested()) give_up(timeout);
        }) {}

 private:
  [[noreturn]] static void give_up(Timeout timeout) {
    log_error(RankError("a rank", concat("did not start within ", timeout.count() / 1000.0, " s"))
                  .hint("its own output may say why; --rank-timeout waits longer")
                  .what());
    std::_Exit(static_cast<int>(ExitCode::kRuntime));
  }

  std::mutex mutex_;
  std::condition_variable_any waiting_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace

namespace {

/// Exchanges are one thread's at a time, but not always the same one's.
void require_threads(int provided) {
  if (provided >= MPI_THREAD_SERIALIZED) return;
  throw ConfigError("MPI", "cannot be called by other threads than the one that started it")
      .expected(concat("thread level ", MPI_THREAD_SERIALIZED, " (MPI_THREAD_SERIALIZED) or more"))
      .found(concat("level ", provided, ", which is all that this MPI library grants"))
      .hint("use an MPI library that was built with support for threads");
}

}  // namespace

std::unique_ptr<Communicator> join_mpi(const Launch& launch, Timeout timeout) {
  int provided = 0;
  {
    const InitWatch watch(timeout);
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "starting MPI");
  }
  require_threads(provided);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  int rank = 0, size = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (rank != launch.rank || size != launch.size) {
    throw ConfigError(launch.launcher, "and this program's MPI count different processes")
        .expected(
            concat("rank ", launch.rank, " of ", launch.size, ", as ", launch.launcher, " says"))
        .found(concat("rank ", rank, " of ", size))
        .hint(
            "start with the mpirun of Open MPI that the program is linked with; with srun, one "
            "that "
            "Slurm's PMIx knows (srun --mpi=pmix)");
  }
  return std::make_unique<MpiWorld>(rank, size, timeout);
}

}  // namespace polygraft::parallel
