// eval/sample_lines.h: samples_<task>_<time>.jsonl, by the million: blocks of lines on all threads,
// a few numbers kept of each. Private to eval.
#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "eval/results.h"

namespace polygraft::eval {

/// Every filter's samples, each ascending by doc_id_less(). The parameters and errors are those of
/// read_result_folder().
std::map<std::string, TaskSamples> read_sample_lines(const std::filesystem::path& file,
                                                     const std::string& document_field);

}  // namespace polygraft::eval
