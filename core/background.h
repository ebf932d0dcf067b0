// core/background.h: work in a thread of its own, beside the caller that hands it over.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace polygraft {

/// Pieces of work, done one after another in the order of add(). The thread stays close to the
/// caller, who waits in add() while more than `most_waiting` (bytes, say) is not done.
class BackgroundWork {
 public:
  explicit BackgroundWork(uint64_t most_waiting);
  /// Drops what has not begun.
  ~BackgroundWork();
  BackgroundWork(const BackgroundWork&) = delete;
  BackgroundWork& operator=(const BackgroundWork&) = delete;

  /// @throws what an earlier piece threw; after that nothing is done any more.
  void add(uint64_t size, std::function<void()> work);
  /// Waits for what is still to be done. @throws as add(). Nothing may be added after it.
  void finish();

 private:
  struct Piece {
    uint64_t size;
    std::function<void()> work;
  };
  void run();
  void end();

  const uint64_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Piece> waiting_;
  uint64_t size_waiting_ = 0;  ///< with the piece that is being done
  bool ended_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace polygraft
