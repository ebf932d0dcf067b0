// expand/merge_list.h: the merges of a tokenizer.json, in either of the spellings that it allows.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/json_fwd.h"

namespace polygraft::expand {

using MergePair = std::pair<std::string, std::string>;

/// Merges in order of priority: "left right" in older files, ["left", "right"] in newer ones.
/// @throws FormatError for a merge that is no pair.
std::vector<MergePair> parse_merges(const Json& merges, const std::filesystem::path& file);

/// model.merges of a tokenizer.json.
std::vector<MergePair> read_merges(const Json& tokenizer_json, const std::filesystem::path& file);

}  // namespace polygraft::expand
