// core/settings.h: the fields of a config struct as dotted keys: for --help, to say what changed
// between two configs, and to know a checkpoint by.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"

namespace polygraft {

struct Setting {
  std::string key;    ///< dotted
  std::string value;  ///< as YAML, on one line
  std::string doc;
  bool is_required = false;
  std::string block = "";  ///< the optional block that it is part of; "": none
};

/// A config visitor that lists every field. Blocks are their fields' prefixes.
class SettingLister {
 public:
  /// @param lists_absent also what optional blocks and empty maps would hold: for documentation.
  explicit SettingLister(bool lists_absent) : lists_absent_(lists_absent) {}

  template <class T>
  void field(const std::string& key, T& value, const std::string& doc) {
    list(value, {prefix_ + key, "", doc, false, block_});
  }
  template <class T>
  void required(const std::string& key, T& value, const std::string& doc) {
    list(value, {prefix_ + key, "", doc, true, block_});
  }
  const std::vector<Setting>& settings() const { return settings_; }

 private:
  template <class T>
  void list(T& value, Setting setting) {
    if constexpr (ConfigStruct<T, SettingLister>) {
      const std::string outer = std::exchange(prefix_, setting.key + ".");
      value.visit(*this);
      prefix_ = outer;
    } else {
      ConfigPrinter printer;
      printer.field("value", value, "");
      add(std::move(setting), printer.yaml(false));
    }
  }
  template <class T>
  void list(std::optional<T>& value, Setting setting) {
    if (value) {
      list(*value, std::move(setting));
    } else if (lists_absent_ && ConfigStruct<T, SettingLister>) {
      list_absent<T>(std::move(setting));
    } else {
      add(std::move(setting), "null");
    }
  }
  template <class T>
  void list(std::map<std::string, T>& values, const Setting& setting) {
    const auto entry = [&](const std::string& name) {
      return Setting{setting.key + "." + name, "", setting.doc, setting.is_required, setting.block};
    };
    for (auto& [name, value] : values) list(value, entry(name));
    if (values.empty() && lists_absent_) list_absent<T>(entry("NAME"));
  }
  template <class T>
  void list_absent(Setting setting) {
    T absent{};
    const std::string outer = std::exchange(block_, setting.key);
    list(absent, std::move(setting));
    block_ = outer;
  }
  /// @param printed "value: 1", or a block of lines.
  void add(Setting setting, const std::string& printed);

  bool lists_absent_;
  std::string prefix_, block_;
  std::vector<Setting> settings_;
};

/// Every key that a config of this kind can have, with its default.
template <class T>
std::vector<Setting> documented_settings() {
  const auto defaults = std::make_unique<T>();
  SettingLister lister(/*lists_absent=*/true);
  defaults->visit(lister);
  return lister.settings();
}

/// The keys of `value`, as it is.
template <class T>
std::vector<Setting> settings_of(T value) {
  SettingLister lister(/*lists_absent=*/false);
  value.visit(lister);
  return lister.settings();
}

/// "train.tokens: 600000 -> 300000" for every key in which the two differ.
std::vector<std::string> changed_settings(const std::vector<Setting>& before,
                                          const std::vector<Setting>& now);

/// "  train.tokens=100000   training tokens" for each.
std::string settings_table(const std::vector<Setting>& settings);

}  // namespace polygraft
