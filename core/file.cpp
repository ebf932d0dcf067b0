// core/file.cpp: reading files, and telling what went wrong. Writing is in atomic_file.cpp and
// atomic_folder.cpp, mapping in mapped_file.cpp.
#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "core/descriptor.h"
#include "core/mapped_fault.h"
#include "core/overlap.h"
#include "core/partial.h"
#include "core/text.h"

namespace polygraft {
namespace {

std::string hint_for(const fs::path& path, int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT: {
      std::error_code ignored;
      const fs::space_info space =
          fs::space(path.has_parent_path() ? path.parent_path() : ".", ignored);
      const std::string free =
          ignored ? "" : concat(" (", human_bytes(space.available), " free now)");
      return concat("make room on the disk that holds it", free, ", or write to another one");
    }
    case EFBIG:
      return "the limit on file sizes (ulimit -f) or the file system does not allow it";
    case EACCES:
    case EPERM:
      return "check who owns it and its permissions";
    case EROFS:
      return "the file system is mounted read-only; write to another one";
    case ENOENT:
      return "check the spelling, and that the folder it lies in exists";
    case ENOTDIR:
      return "a part of this path is a file, not a folder";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit with ulimit -n";
    default:
      return "";
  }
}

/// "" for a regular file.
std::string kind_of(mode_t mode) {
  if (S_ISREG(mode)) return "";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  return S_ISSOCK(mode) ? "a socket" : "a device";
}

/// Names that the kernel keeps, wherever they lead: /dev/stdout is a link to a file when output is
/// redirected.
bool is_of_the_system(const fs::path& path) {
  std::error_code ignored;
  const fs::path folder = fs::weakly_canonical(fs::absolute(path).parent_path(), ignored);
  return folder == "/dev" || lies_in(folder, "/proc");
}

}  // namespace

IoError io_error(const fs::path& path, const std::string& action, int error_number) {
  IoError error(path,
                concat("cannot ", action, ": ", std::generic_category().message(error_number)));
  const std::string hint = hint_for(path, error_number);
  return hint.empty() ? std::move(error) : std::move(error).hint(hint);
}

Descriptor::Descriptor(const fs::path& path, int flags, const std::string& action) {
  do number_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  while (number_ < 0 && errno == EINTR);
  if (number_ < 0) throw io_error(path, action, errno);
}
Descriptor::~Descriptor() { close(); }
Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}
int Descriptor::close() {
  if (number_ < 0) return 0;
  return ::close(std::exchange(number_, -1)) == 0 ? 0 : errno;
}

int Descriptor::release() { return std::exchange(number_, -1); }

void create_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw io_error(folder, "create the folder", error.value());
}

Descriptor open_regular_file(const fs::path& file) {
  Descriptor descriptor(file, O_RDONLY | O_NONBLOCK,
                        "open");  // a pipe without a writer would block
  struct stat status {};
  if (fstat(descriptor.get(), &status) != 0) throw io_error(file, "open", errno);
  if (!S_ISREG(status.st_mode)) {
    throw IoError(file, "cannot read").expected("a regular file").found(kind_of(status.st_mode));
  }
  return descriptor;
}

std::string irregular_kind(const fs::path& path) {
  const fs::path target = clean_target(path);
  struct stat status {};
  if (lstat(target.c_str(), &status) != 0) return "";
  if (is_of_the_system(target)) return "a device";
  return stat(target.c_str(), &status) == 0 ? kind_of(status.st_mode) : "";  // a dangling link
}

size_t read_some(const Descriptor& descriptor, void* buffer, size_t size, const fs::path& file) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor.get(), static_cast<char*>(buffer) + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw io_error(file, "read", errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void write_all(int descriptor, std::string_view content, const fs::path& file) {
  while (!content.empty()) {
    // Linux takes at most 2 GiB at once.
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error_number = errno;
      const auto fault = error_number == EFAULT ? mapped_fault_at(content.data()) : std::nullopt;
      throw fault.value_or(io_error(file, "write", error_number));
    }
    content.remove_prefix(static_cast<size_t>(written));
  }
}

void append_to_file(const fs::path& file, std::string_view content) {
  const Descriptor descriptor(file, O_WRONLY | O_CREAT | O_APPEND, "open");
  write_all(descriptor.get(), content, file);
}

void sync_folder(const fs::path& folder) {
  const Descriptor descriptor(folder, O_RDONLY | O_DIRECTORY, "open the folder");
  // Some network file systems cannot fsync a folder and say EINVAL; their renames are synchronous.
  if (fsync(descriptor.get()) != 0 && errno != EINVAL) throw io_error(folder, "fsync", errno);
}

std::string read_file(const fs::path& file) {
  const Descriptor descriptor = open_regular_file(file);
  constexpr size_t kStep = size_t{1} << 20;
  struct stat status {};
  if (fstat(descriptor.get(), &status) != 0) throw io_error(file, "read the size", errno);
  std::string content;
  // One byte more than the size, to see the end in one pass; files in /proc say 0 and need the
  // steps.
  size_t wanted = static_cast<size_t>(status.st_size) + 1;
  while (true) {
    const size_t before = content.size();
    content.resize(before + wanted);
    const size_t got = read_some(descriptor, content.data() + before, wanted, file);
    content.resize(before + got);
    if (got < wanted) return content;
    wanted = kStep;
  }
}

void refuse_existing_output(const fs::path& output, bool force) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(output, error);
  if (status.type() == fs::file_type::none)
    throw io_error(output, "look at the output", error.value());
  if (force || status.type() == fs::file_type::not_found) return;
  throw ConfigError(output.string(), "already exists")
      .hint("use --force to replace it, or name another output");
}

}  // namespace polygraft
