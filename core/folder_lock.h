// core/folder_lock.h: one process at a time in a folder that several commands write to, or on an
// output.
#pragma once
#include <filesystem>

#include "core/descriptor.h"

namespace polygraft {

/// In a folder that was ever held.
inline constexpr const char* kLockFile = "lock";

/// Holds `folder` (made if missing) until destroyed; the kernel lets go when the process dies, so a
/// killed one leaves nothing behind. The file `lock` in it names the holder's process and host.
class FolderLock {
 public:
  /// @throws ConfigError naming the process that holds it; IoError when the folder cannot be
  /// written.
  explicit FolderLock(const std::filesystem::path& folder);

 private:
  Descriptor file_;
};

/// Takes the output `target` for this process: an exclusive lock on `TARGET.lock`, which names the
/// holder too. @return what holds it. @throws ConfigError naming the process that has it; IoError
/// when it cannot be written; ConfigError when a file of that name is no lock, which is left alone.
Descriptor lock_target(const std::filesystem::path& target);
/// Removes `TARGET.lock`; to be called before the lock ends.
void remove_target_lock(const std::filesystem::path& target);

}  // namespace polygraft
