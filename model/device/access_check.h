// model/device/access_check.h: what the host launcher holds every memory access of a body to:
// inside its view; no element touched by two threads of a block within one phase, one of them
// writing (a barrier is missing); none written by one block and touched by another (nothing orders
// blocks). Host only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <unordered_map>

namespace polygraft::device {

/// An access that a GPU would have let pass. A bug of ours, never of a user.
class AccessError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

struct Access {
  enum Kind { kRead, kWrite };
  int64_t index, size;
  Kind kind;
};

/// Memory that bodies know by other addresses than the host does.
struct DeviceMemory {
  const std::byte* begin = nullptr;  ///< as bodies know it
  const std::byte* end = nullptr;
  ptrdiff_t to_host = 0;  ///< bytes from an address of a body's to the host's

  bool is_host() const { return begin == nullptr; }
};

/// Where the host finds an element. @throws AccessError. Outside a host launch only the index is
/// checked.
void* checked_element(const void* data, size_t element_bytes, Access access);

template <class T>
T& checked_element(T* data, Access access) {
  return *static_cast<T*>(checked_element(static_cast<const void*>(data), sizeof(T), access));
}

/// Watches the accesses of this host thread while it exists: one for each launch.
class AccessWatch {
 public:
  /// @param memory where views lie; the host's own: anywhere.
  explicit AccessWatch(DeviceMemory memory);
  ~AccessWatch();
  AccessWatch(const AccessWatch&) = delete;
  AccessWatch& operator=(const AccessWatch&) = delete;

  /// A new block, with its own shared memory at the same address as the last one's.
  void enter_block(int64_t block, const void* shared, size_t shared_bytes);
  void enter(int phase, int thread) { phase_ = phase, thread_ = thread; }
  /// @return where the host finds it.
  const void* note(const void* element, Access access);

 private:
  /// Who wrote an element last, and who has read it.
  struct History {
    int64_t writing_block = -1, reading_block = -1;
    int writing_phase = -1, writing_thread = -1, reading_phase = -1, reading_thread = -1;
    bool read_by_several_threads = false, read_by_several_blocks = false;
  };
  void note_read(History& history) const;
  void note_write(History& history) const;
  [[noreturn]] void fail(const std::string& what) const;

  DeviceMemory memory_;
  std::unordered_map<const void*, History> global_, shared_;
  const std::byte* shared_begin_ = nullptr;
  const std::byte* shared_end_ = nullptr;
  int64_t block_ = 0;
  int phase_ = 0, thread_ = 0;
};

}  // namespace polygraft::device
