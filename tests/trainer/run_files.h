// tests/trainer/run_files.h: reading what a run wrote, and damaging it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::testing {

/// Lines of metrics.jsonl; `tokens_per_second`, the one value that depends on the clock, is left
/// out.
inline std::vector<Json> metrics_of(const std::filesystem::path& run_dir) {
  std::vector<Json> lines;
  const auto file = run_dir / "metrics.jsonl";
  for (const std::string& line : split(read_file(file), '\n')) {
    if (line.empty()) continue;
    lines.push_back(parse_json(line, file));
    lines.back().erase("tokens_per_second");
  }
  return lines;
}

/// Of every file below `folder`, by its name there.
inline std::map<std::string, std::string> file_hashes(const std::filesystem::path& folder) {
  std::map<std::string, std::string> hashes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    hashes[entry.path().lexically_relative(folder).string()] = sha256_file(entry.path());
  }
  return hashes;
}

inline void flip_last_bit(const std::filesystem::path& file) {
  std::string content = read_file(file);
  content.back() = static_cast<char>(content.back() ^ 1);
  write_file_atomically(file, content);
}

inline int num_folders(const std::filesystem::path& run_dir, const std::string& prefix) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(run_dir)) {
    count += entry.path().filename().string().rfind(prefix, 0) == 0 ? 1 : 0;
  }
  return count;
}

}  // namespace polygraft::testing
