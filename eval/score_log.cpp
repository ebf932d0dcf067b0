// eval/score_log.cpp: key, newline, then for each batch: count (8 bytes), scores (8 bytes each, as
// in memory), the first 16 digits of the SHA-256 over both.
#include "eval/score_log.h"

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/file.h"
#include "core/hash.h"

namespace polygraft::eval {
namespace {

constexpr size_t kHashDigits = 16;

std::string record_of(const std::vector<double>& scores) {
  const uint64_t count = scores.size();
  std::string record(sizeof(count) + count * sizeof(double), '\0');
  std::memcpy(record.data(), &count, sizeof(count));
  std::memcpy(record.data() + sizeof(count), scores.data(), count * sizeof(double));
  return record + sha256(record).substr(0, kHashDigits);
}

/// Takes the first record off `rest`; false when it is not whole.
bool take_record(std::string_view& rest, std::vector<double>& scores) {
  uint64_t count = 0;
  if (rest.size() < sizeof(count) + kHashDigits) return false;
  std::memcpy(&count, rest.data(), sizeof(count));
  if (count > (rest.size() - sizeof(count) - kHashDigits) / sizeof(double)) return false;
  scores.resize(count);
  std::memcpy(scores.data(), rest.data() + sizeof(count), count * sizeof(double));
  const std::string record = record_of(scores);
  if (!rest.starts_with(record)) return false;
  rest.remove_prefix(record.size());
  return true;
}

}  // namespace

ScoreLog::ScoreLog(fs::path file, const std::string& key)
    : file_(std::move(file)), header_(key + "\n") {
  const std::string content = fs::exists(file_) ? read_file(file_) : "";
  if (!content.starts_with(header_)) return;
  std::string_view rest = std::string_view(content).substr(header_.size());
  for (std::vector<double> scores; take_record(rest, scores);) batches_.push_back(scores);
  if (!rest.empty())
    write_file_atomically(file_, std::string_view(content).substr(0, content.size() - rest.size()));
}

void ScoreLog::append(const std::vector<double>& scores) {
  const std::string record = record_of(scores);
  if (batches_.empty()) {
    write_file_atomically(file_, header_ + record);
  } else {
    append_to_file(file_, record);
  }
  batches_.push_back(scores);
}

}  // namespace polygraft::eval
