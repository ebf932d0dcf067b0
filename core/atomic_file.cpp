// core/atomic_file.cpp: a file whose name appears when its content is on disk.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/descriptor.h"
#include "core/file.h"
#include "core/partial.h"

namespace polygraft {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;  // small writes are gathered, large ones pass by
constexpr uint64_t kStretchBytes = uint64_t{16} << 20;

/// Gives the disk work as each stretch is full; otherwise it would idle until fsync asks for
/// everything at once. A hint: what is wrong with the disk, fsync tells.
void write_back(int descriptor, uint64_t before, uint64_t after) {
  const uint64_t begin = before / kStretchBytes, end = after / kStretchBytes;
  if (begin == end) return;
  (void)::sync_file_range(descriptor, static_cast<off64_t>(begin * kStretchBytes),
                          static_cast<off64_t>((end - begin) * kStretchBytes),
                          SYNC_FILE_RANGE_WRITE);
}

}  // namespace

AtomicFile::AtomicFile(fs::path file) : file_(std::move(file)) {
  file_ = clean_target(file_);
  partial_ = partial_name(file_);
  if (const std::string kind = irregular_kind(file_); !kind.empty())
    throw IoError(file_, "cannot write").expected("a new name, or a regular file's").found(kind);
  remove_orphans(file_);
  descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw io_error(file_, "create the file", errno);
  lock_partial(descriptor_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;  // committed
  ::unlink(partial_.c_str());
  ::close(descriptor_);
}

void AtomicFile::write(const void* data, size_t num_bytes) {
  const char* bytes = static_cast<const char*>(data);
  if (buffer_.size() + num_bytes > kBufferBytes) flush();
  if (num_bytes > kBufferBytes) {
    write_all(descriptor_, {bytes, num_bytes}, file_);
  } else {
    buffer_.append(bytes, num_bytes);
  }
  const uint64_t before = bytes_written_;
  bytes_written_ += num_bytes;
  write_back(descriptor_, before, bytes_written_);
}

void AtomicFile::flush() {
  write_all(descriptor_, buffer_, file_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  if (fsync(descriptor_) != 0) throw io_error(file_, "write", errno);
  if (::rename(partial_.c_str(), file_.c_str()) != 0)
    throw io_error(file_, "rename into place", errno);
  ::close(std::exchange(descriptor_, -1));  // fsync has reported what close could
  sync_folder(file_.has_parent_path() ? file_.parent_path() : ".");
}

void copy_bytes(const fs::path& from, const fs::path& to) {
  constexpr size_t kPieceBytes = size_t{64} << 20;  // written back while the next one is read
  const MappedFile source(from);
  AtomicFile target(to);
  for (size_t first = 0; first < source.size(); first += kPieceBytes)
    target.write(source.text().substr(first, kPieceBytes));
  target.commit();
}

void write_file_atomically(const fs::path& file, std::string_view content) {
  AtomicFile out(file);
  out.write(content);
  out.commit();
}

}  // namespace polygraft
