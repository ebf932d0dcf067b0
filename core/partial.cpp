// core/partial.cpp: finding and removing what killed writers left.
#include "core/partial.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft {
namespace {

constexpr std::string_view kInfix = ".polygraft-partial-";

bool process_is_alive(pid_t process) { return kill(process, 0) == 0 || errno == EPERM; }

bool is_orphan(const fs::path& partial, pid_t process) {
  const int descriptor = open(partial.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return false;
  const int error = flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  close(descriptor);
  if (error == 0) return true;
  if (error == EWOULDBLOCK) return false;
  return process != getpid() && !process_is_alive(process);  // no locks on this file system
}

struct PartialName {
  std::string target;
  pid_t process = 0;  ///< 0: it is no partial name
};

PartialName parse_partial(const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t infix = name.rfind(kInfix);
  if (infix == std::string::npos) return {};
  pid_t process = 0;
  const char* end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data() + infix + kInfix.size(), end, process);
  if (parsed.ec != std::errc() || parsed.ptr != end) return {};
  return {name.substr(0, infix), process};
}

}  // namespace

fs::path clean_target(const fs::path& target) {
  const fs::path normal = target.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

fs::path partial_name(const fs::path& target) {
  return target.string() + std::string(kInfix) + std::to_string(getpid());
}

void remove_orphans(const fs::path& target) {
  const fs::path parent = target.has_parent_path() ? target.parent_path() : ".";
  std::error_code ignored;
  std::vector<fs::path> orphans;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) {
    const PartialName name = parse_partial(entry.path());
    if (name.process == 0 || name.target != target.filename().string()) continue;
    if (is_orphan(entry.path(), name.process)) orphans.push_back(entry.path());
  }
  for (const fs::path& orphan : orphans) {
    log_debug(concat("removing what an interrupted run left: ", orphan.string()));
    fs::remove_all(orphan, ignored);
  }
  if (fs::exists(fs::symlink_status(partial_name(target), ignored))) {
    throw IoError(
        target,
        "cannot write: something in this process is already writing it, or the remains of an "
        "earlier attempt cannot be removed")
        .hint(concat("look at ", partial_name(target).string()));
  }
}

std::set<fs::path> unfinished_targets(const fs::path& folder, std::string_view prefix) {
  std::set<fs::path> targets;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const PartialName name = parse_partial(entry.path());
    if (name.process != 0 && name.target.starts_with(prefix)) targets.insert(folder / name.target);
  }
  return targets;
}

void lock_partial(int descriptor) { flock(descriptor, LOCK_EX | LOCK_NB); }

}  // namespace polygraft
