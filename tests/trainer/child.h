// tests/trainer/child.h: runs a hidden test case of this program in a process of its own: for
// signals that kill, and for memory measured from zero. Threads of the parent's libraries do not
// survive a fork, hence the exec.
#pragma once
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

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

/// Of this process since it began.
inline int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    int64_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes << 10;
  }
  return 0;
}

inline std::filesystem::path child_folder() { return getenv("POLYGRAFT_TEST_RUN"); }
inline int child_value() { return atoi(getenv("POLYGRAFT_TEST_VALUE")); }

}  // namespace polygraft::testing
