// core/overlap.h: an output that would change or remove what it is made from.
#pragma once
#include <filesystem>

namespace polygraft {

/// Through links, hard ones too, and relative paths; a path need not exist.
bool is_same(const std::filesystem::path& one, const std::filesystem::path& other);
/// Whether `path` is in `folder`, at any depth, or is it.
bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder);

/// @throws ConfigError when the two are the same folder or one lies in the other, be it through
/// links or relative paths.
void refuse_overlap(const std::filesystem::path& output, const std::filesystem::path& input);

}  // namespace polygraft
