// eval/baseline_file.h: a result folder's samples as one JSON file that a repository keeps, so that
// CI compares with it: a schema version, sorted keys, a sample on each line.
#pragma once
#include <filesystem>

#include "eval/results.h"

namespace polygraft::eval {

/// The file's `polygraft_baseline`; a file of another one is not read.
constexpr int64_t kBaselineSchema = 1;

/// Replaces `file`, atomically. @throws IoError.
void write_baseline(const ResultFolder& folder, const std::filesystem::path& file);

/// What write_baseline() wrote, to the last bit. @throws NotComparable for another schema;
/// FormatError for a broken file.
ResultFolder read_baseline(const std::filesystem::path& file);

}  // namespace polygraft::eval
