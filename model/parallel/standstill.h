// model/parallel/standstill.h: a thread that notices when this process stands still in a call that
// nothing ends: CUDA's for a GPU that follows an exchange with a lost rank, or NCCL's on the way
// out.
#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "model/parallel/communicator.h"

namespace polygraft::parallel {

class Standstill {
 public:
  /// @param on_standstill is called once, by the thread.
  explicit Standstill(std::function<void()> on_standstill);
  ~Standstill();
  Standstill(const Standstill&) = delete;
  Standstill& operator=(const Standstill&) = delete;

  /// Unless this or done() is called within that time, the process stands still.
  void expect_more_within(Timeout time);
  void done();

 private:
  void watch();

  std::function<void()> on_standstill_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace polygraft::parallel
