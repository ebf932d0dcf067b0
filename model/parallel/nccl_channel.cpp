// model/parallel/nccl_channel.cpp: see nccl_channel.h.
#include "model/parallel/nccl_channel.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "core/text.h"
#include "model/device/device_error.h"

namespace polygraft::parallel {
namespace {

using Clock = std::chrono::steady_clock;
using device::DeviceError;

constexpr auto kPause = std::chrono::microseconds(50);
constexpr auto kWithoutPause = std::chrono::microseconds(200);  // most exchanges take less
constexpr auto kBetweenNcclLooks = std::chrono::milliseconds(200);
constexpr auto kFarewellIsLate = std::chrono::seconds(2);  // connections end before the word
constexpr auto kBeyondTimeout = std::chrono::seconds(60);  // the polled waits' errors come first
constexpr auto kMostUnwinding = std::chrono::seconds(60);
constexpr const char* kFarewellKey = "farewell";

RankError loss(const std::string& who, const std::string& why) {
  return RankError(who, why).hint(
      "its own output may say why; the same command continues from the last checkpoint");
}

std::vector<uint8_t> to_bytes(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

void check(cudaError_t result, const char* what) {
  if (result != cudaSuccess) {
    throw DeviceError("CUDA", concat(what, " failed: ", cudaGetErrorString(result)));
  }
}
void check(ncclResult_t result, const char* what) {
  if (result != ncclSuccess && result != ncclInProgress) {
    throw RankError("NCCL", concat(what, " failed: ", ncclGetErrorString(result)));
  }
}

/// What exchanges stage comes and goes with each: the driver would map it anew every time. Nor may
/// it make one stream wait for another's memory: copies do not wait for exchanges.
void keep_freed_memory(int gpu) {
  cudaMemPool_t pool = nullptr;
  uint64_t most_kept = std::numeric_limits<uint64_t>::max();
  int may_wait = 0;
  check(cudaDeviceGetDefaultMemPool(&pool, gpu), "a look at the GPU's memory");
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &most_kept),
        "keeping GPU memory");
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolReuseAllowInternalDependencies, &may_wait),
        "keeping GPU memory");
}

void take_gpu(const Launch& launch) {
  int num_devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&num_devices);
  if (status != cudaSuccess || num_devices == 0) {
    throw DeviceError("CUDA", "this machine shows no CUDA device")
        .found(status == cudaSuccess ? "0 devices" : cudaGetErrorString(status))
        .hint("look at nvidia-smi and CUDA_VISIBLE_DEVICES; on CPUs start with mpirun or srun");
  }
  if (launch.local_rank >= num_devices) {
    throw DeviceError(concat("rank ", launch.rank), "has no GPU of its own")
        .expected(concat("GPU ", launch.local_rank, " for local rank ", launch.local_rank))
        .found(concat(num_devices, " on this host"))
        .hint("start as many processes on a host as it has GPUs (torchrun --nproc-per-node)");
  }
  check(cudaSetDevice(launch.local_rank), "taking the GPU");
  keep_freed_memory(launch.local_rank);
}

Store meet(const Launch& launch, Timeout timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.port);
  options.isServer = launch.rank == 0 && !launch.store_is_up;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        concat("polygraft/", launch.attempt),
        c10::make_intrusive<c10d::TCPStore>(launch.address, options));
  } catch (const std::exception& error) {
    throw RankError("rank 0", concat("is not met at ", launch.address, ":", launch.port))
        .found(error.what());
  }
}

NcclShared::NcclShared(const Launch& launch, Timeout timeout_in, Store store_in,
                       cudaStream_t exchanges_in, cudaStream_t copies_in)
    : rank(launch.rank),
      size(launch.size),
      timeout(timeout_in),
      store(std::move(store_in)),
      exchanges(exchanges_in),
      copies(copies_in),
      standstill_([this] { end_process(); }) {}

void NcclShared::go_ahead() { standstill_.expect_more_within(timeout + kBeyondTimeout); }

void NcclShared::say_farewell(const std::string& why) const {
  const std::string word =
      lost.first.empty() ? concat("rank ", rank, "\n", why) : concat(lost.first, "\n", lost.second);
  store->compareSet(kFarewellKey, {}, to_bytes(word));
}

void NcclShared::look_for_losses() {
  std::string farewell;
  try {
    if (!store->check({kFarewellKey})) return;
    const auto bytes = store->get(kFarewellKey);
    farewell.assign(bytes.begin(), bytes.end());
  } catch (const std::exception&) {
    lose("rank 0", "has ended in the middle of the work: its store does not answer");
  }
  const size_t end_of_name = farewell.find('\n');
  lose(farewell.substr(0, end_of_name), farewell.substr(end_of_name + 1));
}

bool NcclShared::ask(const std::function<bool()>& is_done, const std::vector<int>& awaited) {
  try {
    for (const NcclChannel* channel : channels) channel->is_busy();
    return is_done();
  } catch (const RankError& error) {
    for (auto waited = Clock::duration::zero(); waited < kFarewellIsLate;
         waited += kBetweenNcclLooks) {
      look_for_losses();
      std::this_thread::sleep_for(kBetweenNcclLooks);
    }
    lose(others_of(awaited), concat("one of them has gone: ", error.what()));
  }
}

void NcclShared::wait_until(const std::function<bool()>& is_done, const std::vector<int>& awaited) {
  const auto start = Clock::now();
  auto last_look = start;
  while (!ask(is_done, awaited)) {
    const auto now = Clock::now();
    if (now - start < kWithoutPause) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPause);
    }
    if (now - last_look < kBetweenNcclLooks) continue;
    last_look = now;
    look_for_losses();
    if (now - start <= timeout) continue;
    lose(others_of(awaited),
         concat("one of them does not answer within ", timeout.count() / 1000.0, " s"));
  }
}

std::string NcclShared::others_of(const std::vector<int>& awaited) const {
  std::vector<std::string> names;
  for (const int other : awaited) {
    if (other != rank) names.push_back(concat("rank ", other));
  }
  return join(names, ", ");
}

void NcclShared::lose(const std::string& who, const std::string& why) {
  lost = {who, why};
  standstill_.expect_more_within(kMostUnwinding);  // NCCL may wait on the way out
  try {
    say_farewell(why);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the store has gone with rank 0
  }
  throw loss(who, why);
}

void NcclShared::end_process() const {
  const bool is_known = !lost.first.empty();
  const RankError error =
      is_known ? loss(lost.first, lost.second)
               : loss("another rank", concat("does not answer within ", timeout.count() / 1000.0,
                                             " s, and CUDA waits for it"));
  std::fprintf(stderr, "%s\n", error.what());
  try {
    say_farewell(error.what());
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the store has gone with rank 0
  }
  std::_Exit(static_cast<int>(error.exit_code()));
}

NcclChannel::NcclChannel(NcclShared& shared, const std::vector<int>& members, int rank)
    : shared_(shared), members_(members), exceptions_before_(std::uncaught_exceptions()) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  const ncclUniqueId id = agree_on_id();
  check(ncclCommInitRankConfig(&comm_, static_cast<int>(members.size()), id, rank, &config),
        "starting a group");
  try {
    settle();
  } catch (...) {
    ncclCommAbort(comm_);  // else NCCL's own thread goes on waiting for the others
    throw;
  }
  shared_.channels.push_back(this);
}

NcclChannel::~NcclChannel() {
  if (comm_ == nullptr) return;
  std::erase(shared_.channels, this);
  if (shared_.are_others_gone || std::uncaught_exceptions() > exceptions_before_) {
    ncclCommAbort(comm_);  // destroying waits for the others
  } else {
    ncclCommDestroy(comm_);
  }
}

void NcclChannel::settle() const {
  shared_.wait_until([this] { return !is_busy(); }, members_);
}

bool NcclChannel::is_busy() const {
  ncclResult_t state = ncclSuccess;
  check(ncclCommGetAsyncError(comm_, &state), "asking for errors");
  check(state, "an exchange");
  return state == ncclInProgress;
}

ncclUniqueId NcclChannel::agree_on_id() const {
  const std::string key = concat("group/", shared_.num_groups++, "/", members_.front());
  ncclUniqueId id{};
  if (shared_.rank == members_.front()) {
    check(ncclGetUniqueId(&id), "making a group's id");
    shared_.store->set(key, std::vector<uint8_t>(id.internal, id.internal + sizeof id.internal));
    return id;
  }
  try {
    const auto bytes = shared_.store->get(key);
    std::copy_n(bytes.begin(), sizeof id.internal, id.internal);
  } catch (const std::exception& error) {
    throw RankError(concat("rank ", members_.front()), "does not start the group")
        .found(error.what());
  }
  return id;
}

}  // namespace polygraft::parallel
