// core/json.h: JSON in and out, with errors that name file and position.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/json_fwd.h"

namespace polygraft {

/// @throws FormatError with the byte offset, or for nesting deeper than 256. `where` names the
/// source in errors.
Json parse_json(std::string_view text, const std::filesystem::path& where);
OrderedJson parse_ordered_json(std::string_view text, const std::filesystem::path& where);
Json read_json(const std::filesystem::path& file);
OrderedJson read_ordered_json(const std::filesystem::path& file);

/// Two-space indentation, trailing newline, atomically. NaN and infinity are refused: @throws
/// NumericError.
void write_json(const std::filesystem::path& file, const Json& json);
void write_json(const std::filesystem::path& file, const OrderedJson& json);

/// The same with valid_utf8() of every text, which may come from a path.
Json with_valid_texts(Json json);

/// The start of a value for a one-line message, whatever it holds: the message must not fail
/// itself.
template <class AnyJson>
std::string json_excerpt(const AnyJson& json);

/// object[key] as T. @throws FormatError naming file and key when it is missing or of another type.
template <class T, class AnyJson>
T json_get(const AnyJson& object, const std::string& key, const std::filesystem::path& file);
/// The same, with a value for a missing (or null) key.
template <class T, class AnyJson>
T json_get_or(const AnyJson& object, const std::string& key, T fallback,
              const std::filesystem::path& file);

}  // namespace polygraft

#include "core/json_get.h"
