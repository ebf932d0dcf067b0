// core/background.cpp: see background.h.
#include "core/background.h"

#include <utility>

namespace polygraft {

BackgroundWork::BackgroundWork(uint64_t most_waiting)
    : most_waiting_(most_waiting), thread_([this] { run(); }) {}

BackgroundWork::~BackgroundWork() {
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }
  end();
}

void BackgroundWork::add(uint64_t size, std::function<void()> work) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return size_waiting_ < most_waiting_ || error_; });
  if (error_) std::rethrow_exception(error_);
  size_waiting_ += size;
  waiting_.push_back({size, std::move(work)});
  changed_.notify_all();
}

void BackgroundWork::finish() {
  end();
  if (error_) std::rethrow_exception(error_);
}

void BackgroundWork::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    Piece piece = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    std::exception_ptr error;
    try {
      piece.work();
    } catch (...) {
      error = std::current_exception();
    }
    piece.work = nullptr;  // what it holds goes before the caller may add more
    lock.lock();
    size_waiting_ -= piece.size;
    if (error) {
      error_ = error;
      waiting_.clear();
      changed_.notify_all();
      return;
    }
    changed_.notify_all();
  }
}

void BackgroundWork::end() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace polygraft
