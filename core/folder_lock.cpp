// core/folder_lock.cpp: flock(2) on a file in the folder.
#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace polygraft {
namespace {

std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return concat("process ", ::getpid(), " on ", host.data());
}

/// @throws ConfigError when somebody else has it.
Descriptor take_lock(const fs::path& file, const fs::path& held, const std::string& problem) {
  Descriptor descriptor(file, O_RDWR | O_CREAT, "lock");
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0) return descriptor;
  if (errno != EWOULDBLOCK) throw io_error(file, "lock", errno);
  throw ConfigError(held.string(), problem)
      .found(read_file(file))
      .hint("wait for it, or choose another folder");
}

void sign(const Descriptor& lock, const fs::path& file) {
  if (::ftruncate(lock.get(), 0) != 0) throw io_error(file, "write", errno);
  write_all(lock.get(), this_process(), file);
}

/// Whether `file` still is what was locked: its holder before may have removed it after we opened
/// it.
bool is_current(const Descriptor& lock, const fs::path& file) {
  struct stat locked {
  }, named{};
  return ::fstat(lock.get(), &locked) == 0 && ::stat(file.c_str(), &named) == 0 &&
         locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  create_folders(folder);
  const fs::path file = folder / "lock";
  file_ = take_lock(file, folder, "another polygraft works in this folder");
  sign(file_, file);
}

namespace {

fs::path lock_name(const fs::path& target) { return target.string() + ".lock"; }

}  // namespace

Descriptor lock_target(const fs::path& target) {
  const fs::path file = lock_name(target);
  Descriptor lock;
  do lock = take_lock(file, target, "another polygraft is already writing this");
  while (!is_current(lock, file));
  sign(lock, file);
  return lock;
}

void remove_target_lock(const fs::path& target) { ::unlink(lock_name(target).c_str()); }

}  // namespace polygraft
