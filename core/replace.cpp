// core/replace.cpp: putting a finished folder in the place of an old one.
#include "core/replace.h"

#include <fcntl.h>
#include <stdio.h>

#include <cerrno>
#include <system_error>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft {
namespace {

fs::path aside_name(const fs::path& target) { return target.string() + ".polygraft-old"; }

void remove_old(const fs::path& old) {
  std::error_code error;
  fs::remove_all(old, error);
  // The new content is in place: what cannot be removed is worth a word, not a failure.
  if (error) log_warn(concat("cannot remove the replaced ", old.string(), ": ", error.message()));
}

}  // namespace

bool exists_in_any_form(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

bool exchange(const fs::path& fresh, const fs::path& target) {
  if (renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0)
    return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  throw io_error(target, "replace the folder", errno);
}

void replace_by_moving_aside(const fs::path& fresh, const fs::path& target) {
  const fs::path aside = aside_name(target);
  remove_old(aside);
  if (::rename(target.c_str(), aside.c_str()) != 0)
    throw io_error(target, "move the old folder aside", errno);
  if (::rename(fresh.c_str(), target.c_str()) != 0) {
    const int error_number = errno;
    ::rename(aside.c_str(), target.c_str());
    throw io_error(target, "rename into place", error_number);
  }
  remove_old(aside);
}

void replace_folder(const fs::path& fresh, const fs::path& target) {
  if (exchange(fresh, target)) {
    remove_old(fresh);  // the old content bears this name now
  } else {
    replace_by_moving_aside(fresh, target);
  }
}

void recover_replaced(const fs::path& target) {
  const fs::path aside = aside_name(target);
  if (exists_in_any_form(target) || !exists_in_any_form(aside)) return;
  if (::rename(aside.c_str(), target.c_str()) != 0)
    throw io_error(target, "put the old folder back", errno);
  log_warn(concat("put back ", target.string(), ", which an interrupted run had moved aside"));
}

}  // namespace polygraft
