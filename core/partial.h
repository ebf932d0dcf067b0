// core/partial.h: names of unfinished outputs, and which of them nobody works on any more. Private
// to core. A writer holds a lock (flock) on its `NAME.polygraft-partial-PID`, of a folder on
// `NAME.lock`. The kernel drops the lock with the process, whatever killed it, so a lock that can
// be had means an orphan. The process number alone would not tell: containers reuse them.
#pragma once
#include <filesystem>
#include <set>
#include <string_view>

namespace polygraft {

/// Without "." and "..", and without a trailing slash, which would put the partial name inside the
/// folder.
std::filesystem::path clean_target(const std::filesystem::path& target);

/// `TARGET.polygraft-partial-PID` of this process.
std::filesystem::path partial_name(const std::filesystem::path& target);

/// Removes every orphaned `TARGET.polygraft-partial-*`. @throws IoError when this process itself is
/// at work on `target`.
void remove_orphans(const std::filesystem::path& target);

/// The targets in `folder` whose names begin with `prefix` and of which there is a partial.
std::set<std::filesystem::path> unfinished_targets(const std::filesystem::path& folder,
                                                   std::string_view prefix);

/// Takes the lock on a partial file or folder that was just made.
void lock_partial(int descriptor);

}  // namespace polygraft
