// tests/model/architecture/large_allocations.h: how often LibTorch allocates much memory at once.
#pragma once
#include <c10/core/CPUAllocator.h>

namespace polygraft::testing {

/// Counts what is allocated as large as `bytes`, while it lives.
class LargeAllocations : public c10::Allocator {
 public:
  explicit LargeAllocations(size_t bytes) : bytes_(bytes), usual_(*c10::GetCPUAllocator()) {
    c10::SetCPUAllocator(this);
  }
  ~LargeAllocations() override { c10::SetCPUAllocator(&usual_); }
  LargeAllocations(const LargeAllocations&) = delete;
  LargeAllocations& operator=(const LargeAllocations&) = delete;

  c10::DataPtr allocate(size_t bytes) override {
    count_ += bytes >= bytes_ ? 1 : 0;
    return usual_.allocate(bytes);
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
  int count() const { return count_; }

 private:
  size_t bytes_;
  c10::Allocator& usual_;
  int count_ = 0;
};

}  // namespace polygraft::testing
