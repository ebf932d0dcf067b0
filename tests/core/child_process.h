// tests/core/child_process.h: work that must die, exceed a limit or own the terminal happens in a
// forked child.
#pragma once
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <functional>
#include <string>

namespace polygraft::testing {

/// How a child ended: its exit code, or 128 + the signal that killed it.
inline int wait_for(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Starts `work` in a child, which exits with its result; 99 after an exception, whose text goes to
/// stderr.
inline pid_t start_child(const std::function<int()>& work) {
  const pid_t child = fork();
  if (child != 0) return child;
  int code = 99;
  try {
    code = work();
  } catch (const std::exception& error) {
    const std::string text = std::string(error.what()) + "\n";
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, text.data(), text.size());
  }
  _exit(code);
}

inline int run_child(const std::function<int()>& work) { return wait_for(start_child(work)); }

/// Runs `work` in a child until it calls the function it is given, and kills it there.
inline void kill_child_in_the_middle(
    const std::function<void(const std::function<void()>&)>& work) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = start_child([&] {
    work([&] {
      [[maybe_unused]] const ssize_t ignored = write(pipe_ends[1], "x", 1);
      pause();
    });
    return 0;
  });
  close(pipe_ends[1]);
  char reached = 0;
  if (read(pipe_ends[0], &reached, 1) != 1) throw std::runtime_error("the child never got there");
  close(pipe_ends[0]);
  kill(child, SIGKILL);
  wait_for(child);
}

}  // namespace polygraft::testing
