// core/settings.cpp: see settings.h.
#include "core/settings.h"

#include <algorithm>

#include "core/text.h"

namespace polygraft {
namespace {

constexpr const char* kUnset = "(unset)";

std::map<std::string, std::string> by_key(const std::vector<Setting>& settings) {
  std::map<std::string, std::string> values;
  for (const Setting& setting : settings) values[setting.key] = setting.value;
  return values;
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? kUnset : found->second;
}

std::string on_one_line(const std::string& text) {
  std::vector<std::string> words;
  for (const std::string& line : split(text, '\n')) {
    const size_t start = line.find_first_not_of(' ');
    if (start != std::string::npos) words.push_back(line.substr(start));
  }
  return join(words, " ");
}

}  // namespace

void SettingLister::add(Setting setting, const std::string& printed) {
  constexpr std::string_view kKey = "value: ";
  const std::string line = on_one_line(printed);
  setting.value = line.starts_with(kKey) ? line.substr(kKey.size()) : line;
  settings_.push_back(std::move(setting));
}

std::vector<std::string> changed_settings(const std::vector<Setting>& before,
                                          const std::vector<Setting>& now) {
  const auto old_values = by_key(before), new_values = by_key(now);
  std::map<std::string, std::string> keys = old_values;
  keys.insert(new_values.begin(), new_values.end());
  std::vector<std::string> changes;
  for (const auto& [key, _] : keys) {
    const std::string old_value = value_of(old_values, key), value = value_of(new_values, key);
    if (old_value != value) changes.push_back(concat(key, ": ", old_value, " -> ", value));
  }
  return changes;
}

std::string settings_table(const std::vector<Setting>& settings) {
  constexpr size_t kColumn = 44;
  std::string table;
  for (const Setting& setting : settings) {
    std::string line = "  " + setting.key;
    if (!setting.is_required) {
      line += "=" + setting.value;
    } else {
      line += setting.block.empty() ? " (required)" : concat(" (required in ", setting.block, ")");
    }
    const std::string doc = on_one_line(setting.doc);
    if (!doc.empty()) line += std::string(line.size() < kColumn ? kColumn - line.size() : 2, ' ');
    table += line + doc + "\n";
  }
  return table;
}

}  // namespace polygraft
