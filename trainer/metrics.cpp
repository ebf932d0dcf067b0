// trainer/metrics.cpp: see metrics.h. Whole lines go out in one write, so that a killed run leaves
// no half line behind unless the disk is full; the next resume cuts those off, too.
#include "trainer/metrics.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::trainer {

bool for_each_metrics_line(const fs::path& file,
                           const std::function<void(const Json&, const fs::path&)>& visit) {
  std::ifstream lines(file);
  std::string line;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (is_blank(line)) continue;
    const bool has_end = !lines.eof();
    const fs::path where = concat(file.string(), ":", number);
    Json json;
    try {
      json = parse_json(line, where);
    } catch (const FormatError&) {
      if (has_end) throw;
      return false;
    }
    visit(json, where);
  }
  if (lines.bad()) throw IoError(file, "cannot be read to its end");
  return true;
}

MetricsFile::MetricsFile(fs::path file, uint64_t keep_bytes) : file_(std::move(file)) {
  create_folders(file_.parent_path());
  descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw io_error(file_, "open", errno);
  const off_t present = ::lseek(descriptor_, 0, SEEK_END);
  size_ = std::min(keep_bytes, static_cast<uint64_t>(std::max<off_t>(present, 0)));
  if (present < 0 || ::ftruncate(descriptor_, static_cast<off_t>(size_)) != 0 ||
      ::lseek(descriptor_, 0, SEEK_END) < 0) {
    const int error = errno;
    ::close(descriptor_);
    throw io_error(file_, "cut back", error);
  }
}

MetricsFile::~MetricsFile() { ::close(descriptor_); }

void MetricsFile::append(const Json& line) {
  const std::string text = line.dump() + "\n";
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(descriptor_, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw io_error(file_, "write", errno);
    written += static_cast<size_t>(count);
  }
  size_ += text.size();
}

uint64_t MetricsFile::sync() {
  if (::fsync(descriptor_) != 0) throw io_error(file_, "write", errno);
  return size_;
}

}  // namespace polygraft::trainer
