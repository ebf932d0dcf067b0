// core/remove_folder.cpp: see remove_folder.h.
#include "core/remove_folder.h"

#include <stdio.h>

#include <cerrno>
#include <system_error>

#include "core/file.h"
#include "core/folder_lock.h"
#include "core/log.h"
#include "core/partial.h"
#include "core/text.h"

namespace polygraft {
namespace {

/// The lock on a target for as long as something of it is removed.
class HeldTarget {
 public:
  explicit HeldTarget(fs::path target) : target_(std::move(target)), lock_(lock_target(target_)) {}
  ~HeldTarget() { remove_target_lock(target_); }
  HeldTarget(const HeldTarget&) = delete;
  HeldTarget& operator=(const HeldTarget&) = delete;

 private:
  fs::path target_;
  Descriptor lock_;
};

}  // namespace

void remove_folder(const fs::path& folder) {
  const fs::path target = clean_target(folder), partial = partial_name(target);
  const HeldTarget held(target);
  remove_orphans(target);
  // Files go one by one: under its own name the folder would be half there meanwhile.
  if (::rename(target.c_str(), partial.c_str()) != 0)
    throw io_error(folder, "move the folder aside", errno);
  std::error_code error;
  fs::remove_all(partial, error);
  if (error) throw io_error(partial, "remove the folder", error.value());
}

void remove_unfinished(const fs::path& folder, std::string_view prefix) {
  for (const fs::path& target : unfinished_targets(folder, prefix)) {
    try {
      const HeldTarget held(target);
      remove_orphans(target);
    } catch (const Error& error) {
      log_debug(concat("left alone: ", error.what()));
    }
  }
}

}  // namespace polygraft
