// tests/model/simulated_gpu/simulated_nccl.cpp: see simulated_nccl.h.
#include "tests/model/simulated_gpu/simulated_nccl.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "tests/model/parallel/in_process.h"
#include "tests/model/simulated_gpu/memory.h"
#include "tests/model/simulated_gpu/simulated_gpu.h"

namespace polygraft::testing {
namespace {

using parallel::Bytes;
using parallel::Communicator;
using parallel::ConstBytes;
using parallel::Exchange;

bool lies_on_gpu(ConstBytes bytes) {
  return !bytes.empty() && GpuMemory::instance().contains(bytes.data());
}

bool touches_gpu(const Exchange& exchange) {
  return std::any_of(exchange.send.begin(), exchange.send.end(), lies_on_gpu) ||
         std::any_of(exchange.receive.begin(), exchange.receive.end(), lies_on_gpu);
}

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
  /// @param is_waited_for whether it comes after what GPUs have to do.
  UnderWay(Communicator& threads, const Exchange& on_cpu, bool is_waited_for)
      : sent_(on_cpu.send), is_waited_for_(is_waited_for) {
    for (const ConstBytes bytes : sent_) as_sent_.emplace_back(bytes.begin(), bytes.end());
    for (const Bytes bytes : on_cpu.receive) std::fill(bytes.begin(), bytes.end(), std::byte{0xFF});
    pending_ = threads.start_all_to_all_v(on_cpu);
  }
  void wait() override {
    pending_->wait();
    if (is_waited_for_) note_wait("an exchange");
    for (size_t i = 0; i < sent_.size(); ++i) {
      if (std::equal(sent_[i].begin(), sent_[i].end(), as_sent_[i].begin())) continue;
      throw std::logic_error("what was sent has changed before it was waited for");
    }
  }

 private:
  std::vector<ConstBytes> sent_;
  bool is_waited_for_;
  std::vector<std::vector<std::byte>> as_sent_;
  parallel::PendingPtr pending_;
};

class SimulatedNccl : public Communicator {
 public:
  explicit SimulatedNccl(Communicator& threads) : threads_(threads) {}
  explicit SimulatedNccl(std::unique_ptr<Communicator> own)
      : own_(std::move(own)), threads_(*own_) {}

  int rank() const override { return threads_.rank(); }
  int size() const override { return threads_.size(); }
  bool takes_gpu_memory() const override { return true; }
  std::unique_ptr<Communicator> subgroup(const std::vector<int>& ranks) override {
    return std::make_unique<SimulatedNccl>(threads_.subgroup(ranks));
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
    return std::make_unique<UnderWay>(threads_, on_cpu, touches_gpu(others));
  }
  void copy_own(ConstBytes from, Bytes to) override {
    const Bytes source = opened(from);
    std::memcpy(opened(to).data(), source.data(), source.size());
  }

 private:
  std::unique_ptr<Communicator> own_;
  Communicator& threads_;
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
