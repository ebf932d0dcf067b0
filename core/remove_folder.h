// core/remove_folder.h: removing what AtomicFolder made, whole or not at all, and what it left.
#pragma once
#include <filesystem>
#include <string_view>

namespace polygraft {

/// Under its name the folder is whole or not there, whenever this process is killed; what is left
/// of it then is an unfinished output like any other.
/// @throws ConfigError when another process writes it; IoError.
void remove_folder(const std::filesystem::path& folder);

/// Removes what killed processes left of outputs in `folder` whose names begin with `prefix`: those
/// that are written again (core/file.h) remove it themselves, but others are not. What is being
/// worked on, or cannot be removed, stays.
void remove_unfinished(const std::filesystem::path& folder, std::string_view prefix);

}  // namespace polygraft
