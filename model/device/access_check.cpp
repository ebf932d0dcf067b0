// model/device/access_check.cpp: see access_check.h.
#include "model/device/access_check.h"

#include "core/text.h"

namespace polygraft::device {
namespace {

thread_local AccessWatch* current_watch = nullptr;

}  // namespace

void* checked_element(const void* data, size_t element_bytes, Access access) {
  if (access.index < 0 || access.index >= access.size) {
    throw AccessError(concat("element ", access.index, " of a view of ", access.size));
  }
  const void* element =
      static_cast<const std::byte*>(data) + static_cast<size_t>(access.index) * element_bytes;
  if (current_watch != nullptr) element = current_watch->note(element, access);
  return const_cast<void*>(element);
}

AccessWatch::AccessWatch(DeviceMemory memory) : memory_(memory) { current_watch = this; }
AccessWatch::~AccessWatch() { current_watch = nullptr; }

void AccessWatch::enter_block(int64_t block, const void* shared, size_t shared_bytes) {
  block_ = block;
  shared_begin_ = static_cast<const std::byte*>(shared);
  shared_end_ = shared_begin_ + shared_bytes;
  shared_.clear();
}

const void* AccessWatch::note(const void* element, Access access) {
  const bool is_shared = element >= shared_begin_ && element < shared_end_;
  History& history = (is_shared ? shared_ : global_)[element];
  if (access.kind == Access::kRead) {
    note_read(history);
  } else {
    note_write(history);
  }
  if (is_shared || memory_.is_host()) return element;
  if (element < memory_.begin || element >= memory_.end)
    fail("touches memory that is not the GPU's");
  return static_cast<const std::byte*>(element) + memory_.to_host;
}

void AccessWatch::note_read(History& history) const {
  if (history.writing_thread >= 0) {
    if (history.writing_block != block_) fail("reads what another block writes");
    if (history.writing_phase == phase_ && history.writing_thread != thread_) {
      fail("reads what another thread writes in the same phase");
    }
  }
  if (history.reading_block >= 0 && history.reading_block != block_) {
    history.read_by_several_blocks = true;
  }
  const bool same_phase = history.reading_block == block_ && history.reading_phase == phase_;
  history.read_by_several_threads =
      same_phase && (history.read_by_several_threads || history.reading_thread != thread_);
  history.reading_block = block_;
  history.reading_phase = phase_;
  history.reading_thread = thread_;
}

void AccessWatch::note_write(History& history) const {
  if (history.writing_thread >= 0) {
    if (history.writing_block != block_) fail("writes what another block writes");
    if (history.writing_phase == phase_ && history.writing_thread != thread_) {
      fail("writes what another thread writes in the same phase");
    }
  }
  if (history.reading_block >= 0) {
    if (history.read_by_several_blocks || history.reading_block != block_) {
      fail("writes what another block reads");
    }
    if (history.reading_phase == phase_ &&
        (history.read_by_several_threads || history.reading_thread != thread_)) {
      fail("writes what another thread reads in the same phase");
    }
  }
  history.writing_block = block_;
  history.writing_phase = phase_;
  history.writing_thread = thread_;
}

void AccessWatch::fail(const std::string& what) const {
  throw AccessError(
      concat("thread ", thread_, " of block ", block_, " ", what, " (phase ", phase_, ")"));
}

}  // namespace polygraft::device
