// cli/language_files.cpp: see language_files.h.
#include "cli/language_files.h"

#include <algorithm>
#include <filesystem>

namespace polygraft::cli {
namespace {

/// Of a list that is too long for a name: nothing's.
fs::file_status status_of(const std::string& file) {
  std::error_code unnameable;
  return fs::status(file, unnameable);
}

/// Where the first file of a list ends: at the first comma behind a whole name of one.
size_t end_of_first(const std::string& list) {
  for (size_t end = list.find(','); end != std::string::npos; end = list.find(',', end + 1)) {
    const fs::file_status status = status_of(list.substr(0, end));
    if (fs::exists(status) && !fs::is_directory(status)) return end;
  }
  return fs::exists(status_of(list)) ? list.size() : std::min(list.find(','), list.size());
}

}  // namespace

LanguageFiles parse_language_files(const std::string& value) {
  if (fs::exists(status_of(value))) return {"", {value}};
  const size_t equals = value.find('=');
  const bool has_language = equals != std::string::npos;
  LanguageFiles result{has_language ? value.substr(0, equals) : "", {}};
  std::string list = has_language ? value.substr(equals + 1) : value;
  while (!list.empty()) {
    const size_t end = end_of_first(list);
    result.files.push_back(list.substr(0, end));
    list.erase(0, end + 1);
  }
  return result;
}

}  // namespace polygraft::cli
