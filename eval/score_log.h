// eval/score_log.h: scores of finished batches, appended to a file as they come, so that a killed
// evaluation continues with the next batch. Which documents make a batch depends on the texts and
// the options alone, so it ends with the bits that it would have had anyway.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace polygraft::eval {

class ScoreLog {
 public:
  /// Reads the batches that `file` holds, if there is one. What another `key` left does not count
  /// and is replaced; everything from the first damaged record on is dropped: a kill cuts the last
  /// one short.
  /// @param key what the scores depend on, as a SHA-256.
  /// @throws IoError.
  ScoreLog(std::filesystem::path file, const std::string& key);

  /// The scores of the finished batches, in their order.
  const std::vector<std::vector<double>>& batches() const { return batches_; }

  /// @throws IoError, for instance on a full disk.
  void append(const std::vector<double>& scores);

 private:
  std::filesystem::path file_;
  std::string header_;
  std::vector<std::vector<double>> batches_;
};

}  // namespace polygraft::eval
