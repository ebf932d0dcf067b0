// core/atomic_folder.cpp: a folder that appears whole or not at all.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/descriptor.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/partial.h"
#include "core/replace.h"
#include "core/text.h"

namespace polygraft {
namespace {

/// `--force -o .` must not remove what the user stands in, nor the folders above.
void refuse_to_replace_working_folder(const fs::path& folder) {
  std::error_code ignored;
  const fs::path target = fs::weakly_canonical(folder, ignored);
  for (fs::path here = fs::current_path(ignored); !here.empty(); here = here.parent_path()) {
    if (here == target) {
      throw ConfigError(folder.string(), "will not replace the current folder or one that holds it")
          .hint("name another output folder");
    }
    if (here == here.parent_path()) break;
  }
}

void sync_tree(const fs::path& folder) {
  try {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_symlink()) continue;
      if (entry.is_directory()) sync_folder(entry.path());
      if (!entry.is_regular_file()) continue;
      const Descriptor file(entry.path(), O_RDONLY, "open");
      if (fsync(file.get()) != 0) throw io_error(entry.path(), "write", errno);
    }
  } catch (const fs::filesystem_error& error) {
    throw io_error(folder, "list the folder", error.code().value());
  }
  sync_folder(folder);
}

void unlock(int& lock, const fs::path& target) {
  if (lock < 0) return;
  remove_target_lock(target);
  ::close(std::exchange(lock, -1));
}

}  // namespace

AtomicFolder::AtomicFolder(fs::path folder, bool replace)
    : folder_(std::move(folder)), replace_(replace) {
  folder_ = clean_target(folder_);
  partial_ = partial_name(folder_);
  if (replace_) refuse_to_replace_working_folder(folder_);
  refuse_existing_output(folder_, replace_);
  if (const std::string kind = irregular_kind(folder_); !kind.empty() && kind != "a folder")
    throw IoError(folder_, "cannot write").expected("a new name, or a folder's").found(kind);
  if (folder_.has_parent_path()) create_folders(folder_.parent_path());
  Descriptor lock = lock_target(folder_);
  try {
    recover_replaced(folder_);  // with the lock: else it may be between its two renames
    refuse_existing_output(folder_, replace_);
    remove_orphans(folder_);  // with the lock, all of them are
    if (::mkdir(partial_.c_str(), 0777) != 0) throw io_error(folder_, "create the folder", errno);
  } catch (...) {
    remove_target_lock(folder_);
    throw;
  }
  lock_ = lock.release();
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(partial_, ignored);
  unlock(lock_, folder_);
}

void AtomicFolder::commit() {
  sync_tree(partial_);
  if (!exists_in_any_form(folder_)) {
    if (::rename(partial_.c_str(), folder_.c_str()) != 0)
      throw io_error(folder_, "rename into place", errno);
  } else {
    refuse_existing_output(folder_, replace_);  // it may have appeared meanwhile
    replace_folder(partial_, folder_);
  }
  committed_ = true;
  unlock(lock_, folder_);
  sync_folder(folder_.has_parent_path() ? folder_.parent_path() : ".");
}

}  // namespace polygraft
