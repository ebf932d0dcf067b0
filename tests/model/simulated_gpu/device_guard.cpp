// tests/model/simulated_gpu/device_guard.cpp: what LibTorch asks of a kind of device besides
// operations: which one is current, and its streams, of which a simulated GPU has one that is
// always done.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <memory>
#include <mutex>
#include <set>

#include "tests/model/simulated_gpu/simulated_gpu.h"
#include "tests/model/simulated_gpu/waits.h"

namespace polygraft::testing {
namespace {

thread_local c10::DeviceIndex current_gpu = 0;

c10::DeviceIndex exchange_gpu(c10::DeviceIndex index) {
  if (index < 0) return current_gpu;
  TORCH_CHECK(index < kNumGpus, "there is no simulated GPU ", static_cast<int>(index));
  return std::exchange(current_gpu, index);
}

class Guard final : public c10::impl::DeviceGuardImplInterface {
 public:
  c10::DeviceType type() const override { return at::kPrivateUse1; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return {at::kPrivateUse1, exchange_gpu(device.index())};
  }
  c10::Device getDevice() const override { return {at::kPrivateUse1, current_gpu}; }
  void setDevice(c10::Device device) const override { exchange_gpu(device.index()); }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) current_gpu = device.index();
  }
  c10::DeviceIndex deviceCount() const noexcept override { return kNumGpus; }

  c10::Stream getStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, device);
  }
  c10::Stream getDefaultStream(c10::Device device) const override { return getStream(device); }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return getStream(stream.device());
  }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream& stream) const override {
    note_wait(stream.device_index(), "a stream's end");
  }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};

/// Memory of the CPU's that CUDA would copy from without waiting: any that is asked for here.
class PinnedAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t num_bytes) override {
    c10::DataPtr data = c10::GetCPUAllocator()->allocate(num_bytes);
    void* place = data.get();
    const std::lock_guard lock(mutex_);
    pinned_.insert(place);
    return {place, new c10::DataPtr(std::move(data)), &PinnedAllocator::release, at::kCPU};
  }
  void copy_data(void* to, const void* from, size_t num_bytes) const override {
    default_copy_data(to, from, num_bytes);
  }
  bool has(const void* data) {
    const std::lock_guard lock(mutex_);
    return pinned_.contains(data);
  }
  static PinnedAllocator& instance() {
    static auto* allocator = new PinnedAllocator;
    return *allocator;
  }

 private:
  static void release(void* context) {
    const std::unique_ptr<c10::DataPtr> data(static_cast<c10::DataPtr*>(context));
    const std::lock_guard lock(instance().mutex_);
    instance().pinned_.erase(data->get());
  }
  std::mutex mutex_;
  std::set<const void*> pinned_;
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kNumGpus; }
  void setCurrentDevice(c10::DeviceIndex index) const override { exchange_gpu(index); }
  c10::DeviceIndex getCurrentDevice() const override { return current_gpu; }
  c10::DeviceIndex exchangeDevice(c10::DeviceIndex index) const override {
    return exchange_gpu(index);
  }
  c10::DeviceIndex maybeExchangeDevice(c10::DeviceIndex index) const override {
    return exchange_gpu(index);
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return &PinnedAllocator::instance(); }
  bool isPinnedPtr(const void* data) const override {
    return PinnedAllocator::instance().has(data);
  }
  /// at::manual_seed() seeds every device's; nothing here draws numbers on a GPU.
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator unused = at::detail::createCPUGenerator();
    return unused;
  }
};

[[maybe_unused]] const bool hooks_are_registered = [] {
  c10::register_privateuse1_backend("simulated_gpu");
  at::RegisterPrivateUse1HooksInterface(new Hooks);  // LibTorch keeps it
  return true;
}();

}  // namespace

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace polygraft::testing
