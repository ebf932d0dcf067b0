// core/replace.h: putting a finished folder in the place of an old one. Private to core.
#pragma once
#include <filesystem>

namespace polygraft {

/// `target` becomes `fresh`, and the old content is removed. Atomic (renameat2 with
/// RENAME_EXCHANGE) where the file system can; otherwise by replace_by_moving_aside. @throws
/// IoError; `target` is then as it was.
void replace_folder(const std::filesystem::path& fresh, const std::filesystem::path& target);

/// A dangling link takes the name, too.
bool exists_in_any_form(const std::filesystem::path& path);

/// One atomic exchange of the two names. @return false when the file system cannot.
bool exchange(const std::filesystem::path& fresh, const std::filesystem::path& target);

/// Two renames: `target` -> `TARGET.polygraft-old`, `fresh` -> `target`. Killed between them,
/// `target` is missing until recover_replaced() puts it back.
void replace_by_moving_aside(const std::filesystem::path& fresh,
                             const std::filesystem::path& target);

/// Finishes what a process killed within replace_by_moving_aside left: puts `TARGET.polygraft-old`
/// back if `target` is missing. To be called with the target's lock: a process that is still at
/// work would find its own `target` back in its way.
void recover_replaced(const std::filesystem::path& target);

}  // namespace polygraft
