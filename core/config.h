// core/config.h: plain structs bound to YAML by one visitor: parse, print, and documentation come
// from one list of fields.
//
//   struct GateConfig {
//     double margin_relative_bpb = 0.002;  // relative
//     template <class Visitor> void visit(Visitor& v) {
//       v.field("margin_relative_bpb", margin_relative_bpb, "largest tolerated relative rise in
//       bits per byte");
//     }
//     void validate(Problems& problems) const { problems.require(margin_relative_bpb > 0,
//     "margin_relative_bpb", ...); }
//   };
//
// Unknown keys are errors with file, line and the nearest known key; every problem is reported at
// once.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace polygraft {

/// Which ends of an interval belong to it.
enum class Ends { kBoth, kHigh, kLow, kNeither };

/// What is wrong with a config: dotted path, value, rule. Collected, then thrown together as one
/// error.
class Problems {
 public:
  /// Notes a problem at the dotted path (relative to the struct being validated) unless `ok`.
  void require(bool ok, const std::string& path, const std::string& value, const std::string& rule);
  /// Requires one of these words.
  void require_one_of(const std::string& path, const std::string& value,
                      const std::vector<std::string>& allowed);
  /// Requires a number from low to high. NaN lies nowhere.
  template <class Number>
  void require_in(const std::string& path, Number value, double low, double high,
                  Ends ends = Ends::kBoth) {
    require_in(path, static_cast<double>(value), concat(value), low, high, ends);
  }
  void require_at_least(const std::string& path, int64_t value, int64_t least);
  /// Requires a regular file.
  void require_file(const std::string& path, const std::filesystem::path& file);
  void add(const std::string& line) { lines_.push_back(line); }
  void enter(const std::string& name) { scope_.push_back(name); }
  void leave() { scope_.pop_back(); }
  bool empty() const { return lines_.empty(); }
  /// Tells where the value at a full dotted path was written ("FILE:LINE"), for the lines of
  /// require().
  void locate(const std::string& path, const std::string& location) { locations_[path] = location; }
  /// Lists every problem, if there is one. @throws ConfigError; IoError where all there is to say
  /// is that files are missing, as reading them would.
  void throw_if_any(const std::string& where) const;

 private:
  void require_in(const std::string& path, double value, const std::string& shown, double low,
                  double high, Ends ends);

  std::vector<std::string> scope_;
  std::vector<std::string> lines_;
  size_t num_missing_files_ = 0;  ///< of the lines
  std::map<std::string, std::string> locations_;
};

struct ConfigNode;  // core/config_tree.h

/// A struct whose fields `visit` lists.
template <class T, class Visitor>
concept ConfigStruct = requires(T& value, Visitor& visitor) {
  value.visit(visitor);
};

/// A parsed YAML file plus `--set` overrides. Hides yaml-cpp. A value: a copy does not see later
/// overrides.
class ConfigSource {
 public:
  /// @throws IoError, or ConfigError with line and column for broken YAML.
  static ConfigSource from_file(const std::filesystem::path& file);
  static ConfigSource from_text(const std::string& yaml, const std::string& name);
  /// "a.b=c": c is parsed as YAML. @throws ConfigError when there is no '='.
  void set(const std::string& assignment);
  const std::string& name() const;

 private:
  friend class ConfigReader;
  struct Document;
  std::shared_ptr<Document> document_;
};

/// Reads fields of one mapping; nested structs through nested readers. Used through `bind_config`.
/// A field may be bool, int64_t, double, std::string, a vector of the last three, a struct with
/// `visit`, a vector of such, std::map<std::string, any of these>, std::optional (YAML null empties
/// it), or std::variant<std::string, a list or struct> for keys that take a word or a block ("auto"
/// or [0, 1]).
class ConfigReader {
 public:
  ConfigReader(const ConfigSource& source, Problems& problems);
  ~ConfigReader();

  template <class T>
  void field(const std::string& key, T& value, const std::string& /*doc*/) {
    read(key, value, false);
  }
  template <class T>
  void required(const std::string& key, T& value, const std::string& /*doc*/) {
    read(key, value, true);
  }

 private:
  struct Node;
  ConfigReader(std::unique_ptr<Node> node, Problems& problems);
  /// Marks the key as known; notes a problem if it is required and absent.
  bool has(const std::string& key, bool required);
  bool is_null(const std::string& key) const;
  bool is_scalar(const std::string& key) const;
  ConfigReader child(const std::string& key);
  size_t sequence_size(const std::string& key);  // notes a problem when this is no sequence
  ConfigReader element(const std::string& key, size_t index);
  ConfigReader over(const ConfigNode* value, const std::string& location, const std::string& path);
  std::vector<std::string> mapping_keys();
  void finish();  // notes unknown keys

  void scalar(const std::string& key, bool& value);
  void scalar(const std::string& key, int64_t& value);
  void scalar(const std::string& key, double& value);
  void scalar(const std::string& key, std::string& value);
  void scalar(const std::string& key, std::vector<int64_t>& value);
  void scalar(const std::string& key, std::vector<double>& value);
  void scalar(const std::string& key, std::vector<std::string>& value);

  template <class T>
  void read(const std::string& key, T& value, bool required) {
    if (has(key, required)) {
      read_present(key, value);
    } else if constexpr (ConfigStruct<T, ConfigReader>) {
      if (!required) child(key).read_struct(value);  // what it requires is missing as well
    }
  }
  template <class T>
  void read_present(const std::string& key, T& value) {
    if constexpr (ConfigStruct<T, ConfigReader>) {
      child(key).read_struct(value);
    } else {
      scalar(key, value);
    }
  }
  template <class T>
  void read_present(const std::string& key, std::optional<T>& value) {
    if (is_null(key)) {
      value.reset();
    } else {
      read_present(key, value ? *value : value.emplace());
    }
  }
  template <class T>
  void read_present(const std::string& key, std::variant<std::string, T>& value) {
    if (is_scalar(key)) {
      scalar(key, value.template emplace<std::string>());
    } else {
      read_present(key, value.template emplace<T>());
    }
  }
  template <ConfigStruct<ConfigReader> T>
  void read_present(const std::string& key, std::vector<T>& value) {
    value.clear();
    const size_t size = sequence_size(key);
    for (size_t i = 0; i < size; ++i) element(key, i).read_struct(value.emplace_back());
  }
  template <class T>
  void read_present(const std::string& key, std::map<std::string, T>& value) {
    ConfigReader nested = child(key);
    value.clear();
    for (const std::string& name : nested.mapping_keys()) nested.read(name, value[name], true);
    nested.finish();
  }
  template <class T>
  void read_struct(T& value) {
    value.visit(*this);
    finish();
  }
  template <class T>
  friend T bind_config(const ConfigSource& source);

  std::unique_ptr<Node> node_;
  Problems& problems_;
};

/// Prints a struct as YAML, every field with its value: the resolved config. Also used to compare
/// two configs.
class ConfigPrinter {
 public:
  ConfigPrinter();
  ~ConfigPrinter();
  template <class T>
  void field(const std::string& key, T& value, const std::string& doc) {
    print(key, value, doc);
  }
  template <class T>
  void required(const std::string& key, T& value, const std::string& doc) {
    print(key, value, doc);
  }
  /// With `with_docs` every field carries its documentation as a comment.
  std::string yaml(bool with_docs) const;

 private:
  void begin(const std::string& key, const std::string& doc);
  void end();
  void end_list();
  void end_block(const char* empty_form);
  void begin_element();
  void end_element();
  void null(const std::string& key, const std::string& doc);
  void scalar(const std::string& key, bool value, const std::string& doc);
  void scalar(const std::string& key, int64_t value, const std::string& doc);
  void scalar(const std::string& key, double value, const std::string& doc);
  void scalar(const std::string& key, const std::string& value, const std::string& doc);
  void scalar(const std::string& key, const std::vector<int64_t>& value, const std::string& doc);
  void scalar(const std::string& key, const std::vector<double>& value, const std::string& doc);
  void scalar(const std::string& key, const std::vector<std::string>& value,
              const std::string& doc);

  template <class T>
  void print(const std::string& key, T& value, const std::string& doc) {
    if constexpr (ConfigStruct<T, ConfigPrinter>) {
      begin(key, doc);
      value.visit(*this);
      end();
    } else {
      scalar(key, value, doc);
    }
  }
  template <class T>
  void print(const std::string& key, std::optional<T>& value, const std::string& doc) {
    if (value) {
      print(key, *value, doc);
    } else {
      null(key, doc);
    }
  }
  template <class T>
  void print(const std::string& key, std::variant<std::string, T>& value, const std::string& doc) {
    std::visit([&](auto& alternative) { print(key, alternative, doc); }, value);
  }
  template <ConfigStruct<ConfigPrinter> T>
  void print(const std::string& key, std::vector<T>& value, const std::string& doc) {
    begin(key, doc);
    for (T& element : value) {
      begin_element();
      element.visit(*this);
      end_element();
    }
    end_list();
  }
  template <class T>
  void print(const std::string& key, std::map<std::string, T>& value, const std::string& doc) {
    begin(key, doc);
    for (auto& [name, element] : value) print(name, element, "");
    end();
  }
  struct Lines;
  std::unique_ptr<Lines> lines_;
};

/// Parses, then validates (when T has `validate(Problems&) const`). @throws ConfigError listing all
/// problems.
template <class T>
T bind_config(const ConfigSource& source) {
  Problems problems;
  T value{};
  ConfigReader reader(source, problems);
  reader.read_struct(value);
  problems.throw_if_any(source.name());  // a value that could not be read must not be judged
  if constexpr (requires { value.validate(problems); }) value.validate(problems);
  problems.throw_if_any(source.name());
  return value;
}

/// The resolved config as YAML. `value` is not changed.
template <class T>
std::string config_to_yaml(const T& value, bool with_docs = false) {
  ConfigPrinter printer;
  const_cast<T&>(value).visit(
      printer);  // visit() serves reading too, hence not const; printing only reads
  return printer.yaml(with_docs);
}

}  // namespace polygraft
