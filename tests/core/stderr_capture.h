// tests/core/stderr_capture.h: what a child process writes to stderr, through a pipe or through a
// pseudo-terminal.
#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include <array>
#include <stdexcept>
#include <string>

#include "tests/core/child_process.h"

namespace polygraft::testing {

enum class StderrKind { kPipe, kTerminal };

/// A terminal of 60 columns.
inline std::array<int, 2> open_terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
    throw std::runtime_error("no pty");
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  winsize size{};
  size.ws_col = 60;
  ioctl(terminal, TIOCSWINSZ, &size);
  return {master, terminal};
}

/// Runs the hidden test case `name` of this program anew and returns its stderr. A new program, not
/// a mere fork: the logger decides about colour when it is first used.
inline std::string stderr_of_test(const std::string& name, StderrKind kind) {
  std::array<int, 2> ends{};
  if (kind == StderrKind::kTerminal) {
    ends = open_terminal();
  } else if (pipe(ends.data()) != 0) {
    throw std::runtime_error("no pipe");
  }
  const pid_t child = start_child([&] {
    setenv("TERM", "xterm", 1);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl("/proc/self/exe", "child", name.c_str(), nullptr);
    return 98;
  });
  close(ends[1]);
  std::string text;
  std::array<char, 4096> buffer;
  for (ssize_t got; (got = read(ends[0], buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  close(ends[0]);
  if (const int code = wait_for(child); code != 0) {
    throw std::runtime_error("the child ended with " + std::to_string(code) + ": " + text);
  }
  return text;
}

}  // namespace polygraft::testing
