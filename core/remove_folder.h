// core/remove_folder.h: removing what AtomicFolder made, whole or not at all.
#pragma once
#include <filesystem>

namespace polygraft {

/// Under its name the folder is whole or not there, whenever this process is killed; what is left
/// of it then is an unfinished output like any other.
/// @throws ConfigError when another process writes it; IoError.
void remove_folder(const std::filesystem::path& folder);

}  // namespace polygraft
