// core/overlap.h: an output that would change or remove what it is made from.
#pragma once
#include <filesystem>

namespace polygraft {

/// @throws ConfigError when the two are the same folder or one lies in the other, be it through
/// links or relative paths.
void refuse_overlap(const std::filesystem::path& output, const std::filesystem::path& input);

}  // namespace polygraft
