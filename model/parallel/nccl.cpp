// model/parallel/nccl.cpp: see nccl.h. An exchange is one group of ncclSend and ncclRecv, on a
// stream that all exchanges share.
#include "model/parallel/nccl.h"

#include <algorithm>
#include <deque>
#include <exception>

#include "core/text.h"
#include "model/parallel/nccl_channel.h"

namespace polygraft::parallel {
namespace {

/// CUDA takes about a thousand kernels before it makes the CPU wait, and nothing ends such a wait.
constexpr size_t kMostFollowed = 8;  // of two or three layers

/// Nothing needs no staging.
bool is_on_gpu(ConstBytes part) {
  if (part.empty()) return true;
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, part.data()), "a look at memory");
  return attributes.type == cudaMemoryTypeDevice;
}

bool touches_gpu(const Exchange& exchange) {
  const auto is_there = [](ConstBytes part) { return !part.empty() && is_on_gpu(part); };
  return std::any_of(exchange.send.begin(), exchange.send.end(), is_there) ||
         std::any_of(exchange.receive.begin(), exchange.receive.end(), is_there);
}

/// Calls that NCCL starts together. One left open by an exception would take in whatever comes.
class NcclCalls {
 public:
  NcclCalls() { check(ncclGroupStart(), "an exchange"); }
  ~NcclCalls() {
    if (is_open_) ncclGroupEnd();
  }
  NcclCalls(const NcclCalls&) = delete;
  NcclCalls& operator=(const NcclCalls&) = delete;
  void start() {
    is_open_ = false;
    check(ncclGroupEnd(), "an exchange");
  }

 private:
  bool is_open_ = true;
};

/// Passed when a stream has done all that came before mark().
class Event {
 public:
  Event() { check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "an event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void mark(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "an event"); }
  /// What the stream is told from here on comes after mark().
  void hold(cudaStream_t stream) { check(cudaStreamWaitEvent(stream, event_), "an event"); }
  bool has_passed() const {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) {
      (void)cudaGetLastError();  // which the next kernel's launch would take for its own
      return false;
    }
    check(state, "an exchange");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// GPU memory for what lies in host memory. Filled on the stream of copies, which no exchange keeps
/// waiting: a copy from pageable memory may block until its stream has come to it.
class Staging {
 public:
  Staging(const NcclShared& shared, size_t num_bytes) : shared_(shared) {
    if (num_bytes == 0) return;
    check(cudaMallocAsync(reinterpret_cast<void**>(&memory_), num_bytes, shared.copies),
          "GPU memory");
  }
  ~Staging() {
    if (memory_ != nullptr) cudaFreeAsync(memory_, shared_.exchanges);
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  std::byte* next(size_t num_bytes) {
    std::byte* place = memory_ + used_;
    used_ += num_bytes;
    return place;
  }
  std::byte* filled(ConstBytes part) {
    std::byte* place = next(part.size());
    check(cudaMemcpyAsync(place, part.data(), part.size(), cudaMemcpyHostToDevice, shared_.copies),
          "a copy to the GPU");
    return place;
  }
  /// Exchanges from here on find it filled.
  void hand_over() {
    if (memory_ == nullptr) return;
    filled_.mark(shared_.copies);
    filled_.hold(shared_.exchanges);
  }

 private:
  const NcclShared& shared_;
  std::byte* memory_ = nullptr;
  size_t used_ = 0;
  Event filled_;
};

/// What a group's exchanges share.
struct NcclGroupParts {
  NcclShared& shared;
  NcclChannel channel;
  std::deque<std::unique_ptr<Event>> followed;  ///< by the GPU: ends of exchanges, oldest first

  /// Waits until all before it on its stream is done.
  void wait_for(const Event& event) {
    shared.wait_until([&] { return event.has_passed(); }, channel.members());
  }
};

/// One exchange under way.
class NcclExchange : public Pending {
 public:
  NcclExchange(NcclGroupParts& group, const Exchange& others, int rank)
      : group_(group),
        staged_bytes_(staged_bytes(others, rank)),
        staging_(group.shared, staged_bytes_) {
    const NcclShared& shared = group.shared;
    const NcclChannel& channel = group.channel;
    const auto num_ranks = static_cast<int>(others.send.size());
    std::vector<const std::byte*> from(others.send.size());
    std::vector<std::byte*> to(others.send.size());
    for (int r = 0; r < num_ranks; ++r) {
      if (r == rank) continue;
      from[static_cast<size_t>(r)] = staged(others.send[static_cast<size_t>(r)]);
      to[static_cast<size_t>(r)] = staged_target(others.receive[static_cast<size_t>(r)]);
    }
    staging_.hand_over();
    NcclCalls calls;
    for (int step = 1; step < num_ranks; ++step) {
      const int r = (rank + step) % num_ranks;
      const auto at = static_cast<size_t>(r);
      if (!others.send[at].empty()) {
        check(ncclSend(from[at], others.send[at].size(), ncclInt8, r, channel.comm(),
                       shared.exchanges),
              "sending");
      }
      if (!others.receive[at].empty()) {
        check(ncclRecv(to[at], others.receive[at].size(), ncclInt8, r, channel.comm(),
                       shared.exchanges),
              "receiving");
      }
    }
    calls.start();
    channel.settle();
    done_->mark(shared.exchanges);
  }

  void wait() override {
    group_.wait_for(*done_);
    group_.shared.see_all_done();
    const cudaStream_t copies = group_.shared.copies;
    for (const Arrival& arrival : arrivals_) {
      check(cudaMemcpyAsync(arrival.target.data(), arrival.staged, arrival.target.size(),
                            cudaMemcpyDeviceToHost, copies),
            "a copy from the GPU");
    }
    if (!arrivals_.empty()) check(cudaStreamSynchronize(copies), "a copy from the GPU");
    arrivals_.clear();
  }

  void follow() override {
    if (staged_bytes_ > 0) return wait();
    done_->hold(/*stream=*/nullptr);
    group_.followed.push_back(std::move(done_));
    group_.shared.go_ahead();
    if (group_.followed.size() <= kMostFollowed) return;
    group_.wait_for(*group_.followed.front());
    group_.followed.pop_front();
  }

 private:
  struct Arrival {
    const std::byte* staged;
    Bytes target;
  };

  static size_t staged_bytes(const Exchange& others, int rank) {
    size_t num_bytes = 0;
    for (size_t r = 0; r < others.send.size(); ++r) {
      if (static_cast<int>(r) == rank) continue;
      if (!is_on_gpu(others.send[r])) num_bytes += others.send[r].size();
      if (!is_on_gpu(others.receive[r])) num_bytes += others.receive[r].size();
    }
    return num_bytes;
  }
  const std::byte* staged(ConstBytes part) {
    return is_on_gpu(part) ? part.data() : staging_.filled(part);
  }
  std::byte* staged_target(Bytes part) {
    if (is_on_gpu(part)) return part.data();
    std::byte* place = staging_.next(part.size());
    arrivals_.push_back({place, part});  // copied by wait(): such a copy may block
    return place;
  }

  NcclGroupParts& group_;
  size_t staged_bytes_;
  Staging staging_;
  std::vector<Arrival> arrivals_;
  std::unique_ptr<Event> done_ = std::make_unique<Event>();
};

class NcclGroup : public Communicator {
 public:
  NcclGroup(NcclShared& shared, const std::vector<int>& members, int rank)
      : parts_{shared, {shared, members, rank}, {}}, rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(parts_.channel.members().size()); }
  bool takes_gpu_memory() const override { return true; }
  void wait_for_gpu() override {
    Event told;
    told.mark(/*stream=*/nullptr);
    parts_.wait_for(told);
    parts_.shared.see_all_done();
  }

  std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) override {
    const Membership inner = Membership{parts_.channel.members(), rank_}.subgroup(ranks);
    return std::make_unique<NcclGroup>(parts_.shared, inner.members, inner.rank);
  }

  void abandon(const std::string& why) noexcept override {
    try {
      parts_.shared.say_farewell(why);
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): nobody listens any more
    }
  }

 protected:
  PendingPtr start(const Exchange& others) override {
    if (touches_gpu(others)) follow_default_stream();
    return std::make_unique<NcclExchange>(parts_, others, rank_);
  }
  void copy_own(ConstBytes from, Bytes to) override {
    if (!is_on_gpu(from) && !is_on_gpu(to)) return Communicator::copy_own(from, to);
    follow_default_stream();
    check(cudaMemcpyAsync(to.data(), from.data(), from.size(), cudaMemcpyDefault,
                          parts_.shared.exchanges),
          "a copy");
  }

 private:
  /// Exchanges from here on find what it was told to write, and write where it no longer reads.
  void follow_default_stream() const {
    Event written;
    written.mark(/*stream=*/nullptr);
    written.hold(parts_.shared.exchanges);
  }

  NcclGroupParts parts_;
  int rank_;
};

/// A stream of this process.
class OwnStream {
 public:
  OwnStream() {
    check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  }
  ~OwnStream() { cudaStreamDestroy(stream_); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// Exchanges follow what the default stream had to do when they were started, and it waits for
/// those that it is told to follow; copies of what has arrived follow nothing, so that one
/// exchange's wait is not another's.
struct OwnStreams {
  OwnStream exchanges, copies;
};

/// The group of all, which owns the streams and the store.
class NcclWorld : private OwnStreams, private NcclShared, public NcclGroup {
 public:
  NcclWorld(const Launch& launch, Timeout timeout, const Store& store)
      : NcclShared(launch, timeout, store, OwnStreams::exchanges.get(), OwnStreams::copies.get()),
        NcclGroup(static_cast<NcclShared&>(*this), all_ranks(launch.size), launch.rank),
        exceptions_before_(std::uncaught_exceptions()) {}
  ~NcclWorld() override {
    if (std::uncaught_exceptions() > exceptions_before_) {
      abandon("stopped with an error");
      return;
    }
    try {  // rank 0 keeps the store until all have come here; the work is done
      barrier();
    } catch (const std::exception&) {
      are_others_gone = true;
    }
  }

 private:
  int exceptions_before_;
};

}  // namespace

std::unique_ptr<Communicator> join_nccl(const Launch& launch, Timeout timeout) {
  take_gpu(launch);
  return std::make_unique<NcclWorld>(launch, timeout, meet(launch, timeout));
}

}  // namespace polygraft::parallel
