// core/folder_lock.h: one process at a time in a folder that several commands write to.
#pragma once
#include <filesystem>

#include "core/descriptor.h"

namespace polygraft {

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

}  // namespace polygraft
