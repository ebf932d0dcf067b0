// trainer/metrics.h: metrics.jsonl, one JSON object a line, appended as training goes.
#pragma once
#include <cstdint>
#include <functional>

#include "core/file.h"
#include "core/json_fwd.h"

namespace polygraft::trainer {

/// Calls `visit` with each line of the file, and where it stands ("FILE:LINE"); a missing file has
/// none. @return false when the last line is cut off, as on a full disk: it is left out.
/// @throws FormatError for any other line that is broken.
bool for_each_metrics_line(const fs::path& file,
                           const std::function<void(const Json&, const fs::path&)>& visit);

class MetricsFile {
 public:
  /// Opens the file and cuts it to `keep_bytes`: lines after a checkpoint are written again by the
  /// resumed run.
  /// @throws IoError.
  MetricsFile(fs::path file, uint64_t keep_bytes);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

  void append(const Json& line);  ///< @throws IoError, for instance on a full disk
  /// Forces what was appended to disk. @return the length in bytes, for a checkpoint.
  uint64_t sync();

 private:
  fs::path file_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace polygraft::trainer
