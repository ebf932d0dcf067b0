// core/folder_lock.cpp: flock(2) on a file in the folder.
#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"

namespace polygraft {
namespace {

constexpr std::string_view kSignature = "process ";

std::string this_process() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return concat(kSignature, ::getpid(), " on ", host.data());
}

/// A file of this name that nobody signed is no lock of ours. It stays as it is.
void refuse_foreign(const fs::path& file) {
  const std::string content = read_file(file);
  if (content.empty() || content.rfind(kSignature, 0) == 0) return;
  throw ConfigError(file.string(), "is in the way: polygraft would lock by a file of this name")
      .expected("no such file, or one that a polygraft left")
      .hint("move it, or choose another output");
}

/// Of the open file: its holder may remove the name at any moment.
std::string holder_of(const Descriptor& lock) {
  std::array<char, 512> text{};
  const ssize_t count = ::pread(lock.get(), text.data(), text.size(), 0);
  return {text.data(), static_cast<size_t>(std::max<ssize_t>(count, 0))};
}

/// @throws ConfigError when somebody else has it, or it is no lock.
Descriptor take_lock(const fs::path& file, const fs::path& held, const std::string& problem) {
  Descriptor descriptor(file, O_RDWR | O_CREAT | O_NOFOLLOW, "lock");
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) == 0) {
    refuse_foreign(file);
    return descriptor;
  }
  if (errno != EWOULDBLOCK) throw io_error(file, "lock", errno);
  throw ConfigError(held.string(), problem)
      .found(holder_of(descriptor))
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
  const fs::path file = folder / kLockFile;
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
