// core/json_get.h: the template bodies of core/json.h.
// nlohmann's get<T> converts silently: -1 to 18446744073709551615, 1.5 to 1. A file's numbers must
// be what they are read as.
#pragma once
#include <cmath>
#include <concepts>
#include <limits>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/text.h"

namespace polygraft {
namespace json_detail {

template <class T, class AnyJson>
bool convert(const AnyJson& json, T& value) {
  if constexpr (std::same_as<T, bool>) {
    if (!json.is_boolean()) return false;
    value = json.template get<bool>();
    return true;
  } else if constexpr (std::integral<T>) {
    if (json.is_number_float()) {  // 1e6 and 2.0 are whole numbers, too
      const double real = json.template get<double>();
      constexpr double kExactUpTo = 9007199254740992.0;  // 2^53
      if (std::trunc(real) != real || std::abs(real) > kExactUpTo) return false;
      const auto whole = static_cast<int64_t>(real);
      value = static_cast<T>(whole);
      return std::in_range<T>(whole);
    }
    if (!json.is_number_integer()) return false;
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.template get<uint64_t>())
                                                : std::in_range<T>(json.template get<int64_t>());
    if (fits) value = json.template get<T>();
    return fits;
  } else if constexpr (std::floating_point<T>) {
    if (!json.is_number()) return false;
    value = json.template get<T>();
    return true;
  } else {
    value = json.template get<T>();
    return true;
  }
}

template <class T, class AnyJson>
bool convert(const AnyJson& json, std::vector<T>& values) {
  if (!json.is_array()) return false;
  for (const auto& element : json) {
    T value{};
    if (!convert(element, value)) return false;
    values.push_back(std::move(value));
  }
  return true;
}

}  // namespace json_detail

template <class AnyJson>
std::string json_excerpt(const AnyJson& json) {
  return printable(json.dump(-1, ' ', false, AnyJson::error_handler_t::replace));
}

template <class T, class AnyJson>
T json_get(const AnyJson& object, const std::string& key, const std::filesystem::path& file) {
  const auto found = object.find(key);
  if (found == object.end()) throw FormatError(file, concat("key '", key, "' is missing"));
  T value{};
  bool converted = false;
  try {
    converted = json_detail::convert(*found, value);
  } catch (const nlohmann::json::exception&) {  // a type that nlohmann itself converts
  }
  if (!converted) {
    throw FormatError(file, concat("key '", key, "' has the wrong type or is out of range"))
        .found(json_excerpt(*found));
  }
  return value;
}

template <class T, class AnyJson>
T json_get_or(const AnyJson& object, const std::string& key, T fallback,
              const std::filesystem::path& file) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  return json_get<T>(object, key, file);
}

}  // namespace polygraft
