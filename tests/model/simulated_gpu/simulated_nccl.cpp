// tests/model/simulated_gpu/simulated_nccl.cpp: see simulated_nccl.h.
#include "tests/model/simulated_gpu/simulated_nccl.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/model/parallel/in_process.h"
#include "tests/model/simulated_gpu/memory.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"
#include "tests/model/simulated_gpu/waits.h"

namespace polygraft::testing {
namespace {

using parallel::Bytes;
using parallel::Communicator;
using parallel::ConstBytes;
using parallel::Exchange;

bool lies_on_gpu(ConstBytes bytes) {
  return !bytes.empty() && GpuMemory::instance().contains(bytes.data());
}

/// Where an exchange's parts lie.
struct Places {
  bool gpu = false, cpu = false;

  explicit Places(const Exchange& exchange) {
    for (const ConstBytes part : exchange.send) look_at(part);
    for (const ConstBytes part : exchange.receive) look_at(part);
  }
  void look_at(ConstBytes part) {
    if (!part.empty()) (lies_on_gpu(part) ? gpu : cpu) = true;
  }
};

/// Where the CPU may touch it.
Bytes opened(ConstBytes bytes) {
  const auto& memory = GpuMemory::instance();
  void* data =
      lies_on_gpu(bytes) ? memory.opened(bytes.data()) : const_cast<std::byte*>(bytes.data());
  return {static_cast<std::byte*>(data), bytes.size()};
}

/// What is under way: what is sent must not change before it has been waited for, and what is to be
/// received is no number until then.
class UnderWay : public parallel::Pending {
 public:
  UnderWay(Communicator& threads, const Exchange& on_cpu, int gpu, Places places)
      : sent_(on_cpu.send), gpu_(gpu), places_(places), number_(begin_exchange(gpu)) {
    for (const ConstBytes bytes : sent_) as_sent_.emplace_back(bytes.begin(), bytes.end());
    for (const Bytes bytes : on_cpu.receive) std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});
    pending_ = threads.start_all_to_all_v(on_cpu);
  }
  void wait() override {
    finish();
    wait_for_exchange(gpu_, number_, places_.gpu ? std::optional("an exchange") : std::nullopt);
  }
  void follow() override {
    if (places_.cpu) return wait();
    finish();
    follow_exchange(gpu_, number_);
  }

 private:
  void finish() {
    pending_->wait();
    for (size_t i = 0; i < sent_.size(); ++i) {
      if (std::equal(sent_[i].begin(), sent_[i].end(), as_sent_[i].begin())) continue;
      throw std::logic_error("what was sent has changed before it was waited for");
    }
  }

  std::vector<ConstBytes> sent_;
  int gpu_;
  Places places_;
  uint64_t number_;
  std::vector<std::vector<std::byte>> as_sent_;
  parallel::PendingPtr pending_;
};

class SimulatedNccl : public Communicator {
 public:
  /// The group of all.
  explicit SimulatedNccl(Communicator& threads) : threads_(threads), gpu_(threads.rank()) {}
  SimulatedNccl(std::unique_ptr<Communicator> own, int gpu)
      : own_(std::move(own)), threads_(*own_), gpu_(gpu) {}
  ~SimulatedNccl() override {
    if (own_ == nullptr) forget_exchanges(gpu_);
  }

  int rank() const override { return threads_.rank(); }
  int size() const override { return threads_.size(); }
  bool takes_gpu_memory() const override { return true; }
  void wait_for_gpu() override { wait_for_exchange(gpu_, begin_exchange(gpu_), "the GPU"); }
  std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) override {
    return std::make_unique<SimulatedNccl>(threads_.subgroup(ranks), gpu_);
  }
  void abandon(const std::string& why) noexcept override { threads_.abandon(why); }

 protected:
  parallel::PendingPtr start(const Exchange& others) override {
    Exchange on_cpu;
    for (const ConstBytes bytes : others.send) on_cpu.send.push_back(opened(bytes));
    for (const Bytes bytes : others.receive) on_cpu.receive.push_back(opened(bytes));
    const auto own = static_cast<size_t>(rank());  // done
    on_cpu.send[own] = {};
    on_cpu.receive[own] = {};
    return std::make_unique<UnderWay>(threads_, on_cpu, gpu_, Places(others));
  }
  void copy_own(ConstBytes from, Bytes to) override {
    if (lies_on_gpu(from) != lies_on_gpu(to)) note_wait(gpu_, "a copy of a rank's own part");
    const Bytes source = opened(from);
    std::memcpy(opened(to).data(), source.data(), source.size());
  }

 private:
  std::unique_ptr<Communicator> own_;
  Communicator& threads_;
  int gpu_;
};

}  // namespace

void run_on_gpus(int num_ranks, parallel::Timeout timeout,
                 const std::function<void(Communicator& world)>& work) {
  parallel::run_in_threads(num_ranks, timeout, [&](Communicator& threads) {
    SimulatedNccl world(threads);
    work(world);
  });
}

}  // namespace polygraft::testing
