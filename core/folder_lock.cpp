// core/folder_lock.cpp: flock(2) on a file in the folder.
#include "core/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
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

}  // namespace

FolderLock::FolderLock(const fs::path& folder) {
  create_folders(folder);
  const fs::path file = folder / "lock";
  file_ = Descriptor(file, O_RDWR | O_CREAT, "lock the folder");
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw ConfigError(folder.string(), "another polygraft works in this folder")
        .found(read_file(file))
        .hint("wait for it, or choose another folder");
  }
  const std::string owner = this_process();
  if (::ftruncate(file_.get(), 0) != 0) throw io_error(file, "write", errno);
  write_all(file_.get(), owner, file);
}

}  // namespace polygraft
