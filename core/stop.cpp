// core/stop.cpp: SIGINT and SIGTERM as a flag.
#include "core/stop.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "core/error.h"

namespace polygraft {
namespace {

std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may touch nothing else");

extern "C" void on_stop_signal(int signal_number) {
  int none = 0;
  if (!stop_signal.compare_exchange_strong(none, signal_number)) _exit(128 + signal_number);
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;  // a write in progress goes on; loops look at the flag
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void remove_stop_handlers() {
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
}

bool stop_requested() { return stop_signal.load(std::memory_order_relaxed) != 0; }

void throw_if_stopped() {
  if (const int signal_number = stop_signal.load(std::memory_order_relaxed); signal_number != 0) {
    throw Interrupted(signal_number);
  }
}

}  // namespace polygraft
