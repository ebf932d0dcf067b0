// model/parallel/standstill.cpp: see standstill.h.
#include "model/parallel/standstill.h"

namespace polygraft::parallel {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLookEvery = std::chrono::milliseconds(20);

}  // namespace

Standstill::Standstill(std::function<void()> on_standstill)
    : on_standstill_(std::move(on_standstill)), thread_([this] { watch(); }) {}

Standstill::~Standstill() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  ended_.notify_all();
  thread_.join();
}

void Standstill::expect_more_within(Timeout time) {
  const std::lock_guard lock(mutex_);
  deadline_ = Clock::now() + time;
}

void Standstill::done() {
  const std::lock_guard lock(mutex_);
  deadline_.reset();
}

void Standstill::watch() {
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, kLookEvery, [this] { return ends_; })) {
    if (!deadline_.has_value() || Clock::now() < *deadline_) continue;
    deadline_.reset();
    lock.unlock();
    on_standstill_();
    lock.lock();
  }
}

}  // namespace polygraft::parallel
