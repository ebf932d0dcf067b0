// core/config_json.h: a config struct as JSON and back, through the same field list that serves
// YAML.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "core/config.h"
#include "core/json.h"

namespace polygraft {

class JsonFieldWriter {
 public:
  template <class T>
  void field(const std::string& key, T& value, const std::string& /*doc*/) {
    json_[key] = value;
  }
  template <class T>
  void field(const std::string& key, std::optional<T>& value, const std::string& /*doc*/) {
    json_[key] = value ? Json(*value) : Json();
  }
  template <class T>
  void required(const std::string& key, T& value, const std::string& doc) {
    field(key, value, doc);
  }
  Json take() { return std::move(json_); }

 private:
  Json json_ = Json::object();
};

class JsonFieldReader {
 public:
  JsonFieldReader(const Json& json, const std::filesystem::path& file) : json_(json), file_(file) {}
  template <class T>
  void field(const std::string& key, T& value, const std::string& /*doc*/) {
    value = json_get<T>(json_, key, file_);
  }

 private:
  const Json& json_;
  const std::filesystem::path& file_;
};

template <class Config>
Json config_to_json(Config config) {
  JsonFieldWriter writer;
  config.visit(writer);
  return writer.take();
}

/// The block `key` of a file. @throws FormatError naming file and key when a field is missing or of
/// another type; ConfigError listing all values that break the config's rules.
template <class Config>
Config config_from_json(const Json& json, const std::string& key,
                        const std::filesystem::path& file) {
  const Json block = json_get<Json>(json, key, file);
  Config config;
  JsonFieldReader reader(block, file);
  config.visit(reader);
  Problems problems;
  problems.enter(key);
  config.validate(problems);
  problems.throw_if_any(file.string());
  return config;
}

}  // namespace polygraft
