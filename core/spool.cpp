// core/spool.cpp: see spool.h.
#include "core/spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/partial.h"

namespace polygraft {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

}  // namespace

Spool::Spool(const fs::path& beside)
    : path_(partial_name(beside.string() + ".spool")),
      file_(path_, O_RDWR | O_CREAT | O_TRUNC, "create the file") {
  ::unlink(path_.c_str());
}

void Spool::append(const void* data, size_t num_bytes) {
  buffer_.append(static_cast<const char*>(data), num_bytes);
  if (buffer_.size() >= kBufferBytes) flush();
}

void Spool::flush() {
  write_all(file_.get(), buffer_, path_);
  buffer_.clear();
}

void Spool::move_to(AtomicFile& out) {
  flush();
  if (::lseek(file_.get(), 0, SEEK_SET) < 0) throw io_error(path_, "read", errno);
  buffer_.resize(kBufferBytes);
  while (const size_t num_read = read_some(file_, buffer_.data(), buffer_.size(), path_)) {
    out.write(buffer_.data(), num_read);
  }
}

}  // namespace polygraft
