// tests/trainer/child.h: runs a hidden test case of this program in a process of its own: for
// signals that kill, and for memory measured from zero. Threads of the parent's libraries do not
// survive a fork, hence the exec.
#pragma once
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace polygraft::testing {

/// The child finds `folder` in POLYGRAFT_TEST_RUN and `value` in POLYGRAFT_TEST_VALUE.
/// @return its exit code, or 128 + the signal that killed it.
inline int run_test_case_in_child(const std::string& name, const std::filesystem::path& folder,
                                  int value) {
  const pid_t child = fork();
  if (child == 0) {
    setenv("TMPDIR", folder.parent_path().c_str(), 1);  // what a killed child leaves goes, too
    setenv("POLYGRAFT_TEST_RUN", folder.c_str(), 1);
    setenv("POLYGRAFT_TEST_VALUE", std::to_string(value).c_str(), 1);
    execl("/proc/self/exe", "test_trainer", name.c_str(), nullptr);
    _exit(98);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Bytes that /proc/self/status states.
inline int64_t status_bytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != field) continue;
    int64_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes << 10;
  }
  return 0;
}

/// Of this process since it began.
inline int64_t peak_resident_bytes() { return status_bytes("VmHWM:"); }

/// What this process holds at most beside the files that it maps, looked at every two milliseconds
/// while this lives.
class AnonymousPeak {
 public:
  AnonymousPeak() : thread_([this] { watch(); }) {}
  ~AnonymousPeak() { stop(); }
  int64_t stop() {
    is_over_ = true;
    if (thread_.joinable()) thread_.join();
    return bytes_;
  }

 private:
  void watch() {
    while (!is_over_) {
      bytes_ = std::max(bytes_, status_bytes("RssAnon:"));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  std::atomic<bool> is_over_ = false;
  int64_t bytes_ = 0;
  std::thread thread_;  // last: it uses the others
};

inline std::filesystem::path child_folder() { return getenv("POLYGRAFT_TEST_RUN"); }
inline int child_value() { return atoi(getenv("POLYGRAFT_TEST_VALUE")); }

}  // namespace polygraft::testing
