// tokenizer/json_splice.h: adds elements to an object or array inside a JSON text and leaves every
// other byte as it was. A tokenizer.json of 10 MB written back by a JSON library would differ
// everywhere.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace polygraft::tokenizer {

/// Inserts `elements` (JSON texts; `"key": value` for an object) before the closing bracket of the
/// container at `path` (keys from the root; empty: the root), spaced as its first element is.
/// @param text valid JSON. @throws FormatError when there is no such container.
std::string append_json_elements(std::string_view text, const std::vector<std::string>& path,
                                 const std::vector<std::string>& elements,
                                 const std::filesystem::path& where);

}  // namespace polygraft::tokenizer
