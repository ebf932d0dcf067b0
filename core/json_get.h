// core/json_get.h: the template bodies of core/json.h.
#pragma once
#include "core/error.h"
#include "core/text.h"

namespace polygraft {

template <class T, class AnyJson>
T json_get(const AnyJson& object, const std::string& key, const std::filesystem::path& file) {
  const auto found = object.find(key);
  if (found == object.end()) throw FormatError(file, concat("key '", key, "' is missing"));
  try {
    return found->template get<T>();
  } catch (const nlohmann::json::exception&) {
    throw FormatError(file, concat("key '", key, "' has the wrong type"))
        .found(found->dump().substr(0, 80));
  }
}

template <class T, class AnyJson>
T json_get_or(const AnyJson& object, const std::string& key, T fallback,
              const std::filesystem::path& file) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return fallback;
  return json_get<T>(object, key, file);
}

}  // namespace polygraft
