// model/checkpoint/json_fields.cpp: see json_fields.h.
#include "model/checkpoint/json_fields.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::model {

JsonFields::JsonFields(const Json& object, fs::path file, std::string scope)
    : object_(object), file_(std::move(file)), scope_(std::move(scope)) {
  if (object_.is_object()) return;
  throw FormatError(file_, scope_.empty() ? "the file is not a JSON object"
                                          : concat("key '", scope_, "' is not a JSON object"))
      .found(json_excerpt(object_));
}

bool JsonFields::has(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

bool JsonFields::states_null(const std::string& key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

const Json& JsonFields::raw(const std::string& key) const {
  if (!has(key)) throw FormatError(file_, concat("key '", path_of(key), "' is missing"));
  return *object_.find(key);
}

int64_t JsonFields::integer(const std::string& key, int64_t least, int64_t most) const {
  const Json& value = raw(key);
  const auto range = [&] { return concat("an integer from ", least, " to ", most); };
  if (!value.is_number_integer()) fail(key, range());
  const bool too_large = value.is_number_unsigned() &&
                         value.get<uint64_t>() > static_cast<uint64_t>(std::max<int64_t>(most, 0));
  if (too_large || value.get<int64_t>() < least || value.get<int64_t>() > most) fail(key, range());
  return value.get<int64_t>();
}

int64_t JsonFields::integer_or(const std::string& key, int64_t fallback, int64_t least,
                               int64_t most) const {
  return has(key) ? integer(key, least, most) : fallback;
}

double JsonFields::number(const std::string& key) const {
  const Json& value = raw(key);
  if (!value.is_number() || !std::isfinite(value.get<double>())) fail(key, "a finite number");
  return value.get<double>();
}

double JsonFields::number_or(const std::string& key, double fallback) const {
  return has(key) ? number(key) : fallback;
}

std::optional<double> JsonFields::optional_number(const std::string& key) const {
  return has(key) ? std::optional<double>(number(key)) : std::nullopt;
}

bool JsonFields::flag(const std::string& key) const {
  const Json& value = raw(key);
  if (!value.is_boolean()) fail(key, "true or false");
  return value.get<bool>();
}

bool JsonFields::flag_or(const std::string& key, bool fallback) const {
  return has(key) ? flag(key) : fallback;
}

std::string JsonFields::text(const std::string& key) const {
  const Json& value = raw(key);
  if (!value.is_string()) fail(key, "a string");
  return value.get<std::string>();
}

std::string JsonFields::text_or(const std::string& key, const std::string& fallback) const {
  return has(key) ? text(key) : fallback;
}

const Json& JsonFields::list(const std::string& key) const {
  const Json& value = raw(key);
  if (value.is_array()) return value;
  throw FormatError(file_, concat("key '", path_of(key), "' is not a list"))
      .found(json_excerpt(value));
}

void JsonFields::require_schema(int64_t version, const std::string& what) const {
  const int64_t found = integer("schema_version", 1, INT32_MAX);
  if (found == version) return;
  throw FormatError(file_, concat(what, " has a schema of another version"))
      .expected(concat(version))
      .found(concat(found))
      .hint("another polygraft wrote it; use that version");
}

std::string JsonFields::path_of(const std::string& key) const {
  return scope_.empty() ? key : scope_ + "." + key;
}

void JsonFields::fail(const std::string& key, const std::string& expected) const {
  throw FormatError(file_, concat("key '", path_of(key), "' cannot be used"))
      .expected(expected)
      .found(json_excerpt(*object_.find(key)));
}

}  // namespace polygraft::model
