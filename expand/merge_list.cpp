// expand/merge_list.cpp: parsing of model.merges.
#include "expand/merge_list.h"

#include "core/error.h"
#include "core/json.h"

namespace polygraft::expand {

namespace {

MergePair parse_merge(const Json& merge, const std::filesystem::path& file) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space != std::string::npos) return {text.substr(0, space), text.substr(space + 1)};
  }
  throw FormatError(file, "a merge is no pair of tokens").found(merge.dump().substr(0, 80));
}

}  // namespace

std::vector<MergePair> parse_merges(const Json& merges, const std::filesystem::path& file) {
  std::vector<MergePair> pairs;
  for (const Json& merge : merges) pairs.push_back(parse_merge(merge, file));
  return pairs;
}

std::vector<MergePair> read_merges(const Json& tokenizer_json, const std::filesystem::path& file) {
  const Json model = json_get<Json>(tokenizer_json, "model", file);
  return parse_merges(json_get<std::vector<Json>>(model, "merges", file), file);
}

}  // namespace polygraft::expand
