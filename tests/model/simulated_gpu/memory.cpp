// tests/model/simulated_gpu/memory.cpp: see memory.h.
#include "tests/model/simulated_gpu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace polygraft::testing {
namespace {

constexpr size_t kLeastBytes = 512;  // what CUDA aligns an allocation to, at least

std::byte* map(int file, size_t num_bytes, int protection) {
  void* place = mmap(nullptr, num_bytes, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (place == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  return static_cast<std::byte*>(place);
}

}  // namespace

GpuMemory& GpuMemory::instance() {
  static auto* memory = new GpuMemory;  // tensors in static storage outlive any order of ends
  return *memory;
}

GpuMemory::GpuMemory() {
  const int file = memfd_create("simulated-gpu", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(kBytes)) != 0) {
    throw std::system_error(errno, std::generic_category(), "memory of a simulated GPU");
  }
  closed_ = map(file, kBytes, PROT_NONE);
  open_ = map(file, kBytes, PROT_READ | PROT_WRITE);
  close(file);
}

void* GpuMemory::allocate(size_t num_bytes, int gpu) {
  const size_t rounded = std::max(kLeastBytes, std::bit_ceil(num_bytes));
  const std::lock_guard lock(mutex_);
  Usage& usage = usage_[gpu];
  std::vector<void*>& spare = spare_[rounded];
  if (usage.now + num_bytes > usage.limit) return nullptr;
  if (spare.empty()) {
    if (given_ + rounded > kBytes) return nullptr;
    spare.push_back(closed_ + given_);
    given_ += rounded;
  }
  usage.now += num_bytes;
  usage.peak = std::max(usage.peak, usage.now);
  void* data = spare.back();
  spare.pop_back();
  pieces_[data] = {num_bytes, rounded, gpu};
  std::memset(opened(data), 0xFF, rounded);
  return data;
}

void GpuMemory::release(void* data) {
  const std::lock_guard lock(mutex_);
  const auto found = pieces_.find(data);
  const Piece piece = found->second;
  std::memset(opened(data), 0xFF, piece.rounded);  // who still reads it reads no number
  usage_[piece.gpu].now -= piece.num_bytes;
  spare_[piece.rounded].push_back(data);
  pieces_.erase(found);
}

size_t GpuMemory::peak(int gpu) {
  const std::lock_guard lock(mutex_);
  return usage_[gpu].peak;
}

void GpuMemory::set_limit(int gpu, size_t num_bytes) {
  const std::lock_guard lock(mutex_);
  usage_[gpu].limit = num_bytes;
  usage_[gpu].peak = usage_[gpu].now;
}

bool GpuMemory::contains(const void* data) const {
  return data >= closed_ && data < closed_ + kBytes;
}

bool GpuMemory::is_open_side(const void* data) const {
  return data >= open_ && data < open_ + kBytes;
}

void* GpuMemory::opened(const void* data) const {
  return open_ + (static_cast<const std::byte*>(data) - closed_);
}

}  // namespace polygraft::testing
