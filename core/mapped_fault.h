// core/mapped_fault.h: when a file gets shorter after it was mapped. Reading what is gone then
// raises SIGBUS, or, where write(2) does the reading, gives EFAULT.
#pragma once
#include <filesystem>
#include <optional>

#include "core/error.h"

namespace polygraft {

/// From now on such a SIGBUS ends the process with a message that names the file, and exit code 1.
/// What was being written stays unfinished and nameless, as after kill -9: the next run removes it.
void exit_on_mapped_fault();

/// The error for a read at `place` that failed, if it lies in a mapped file.
std::optional<IoError> mapped_fault_at(const void* place);

}  // namespace polygraft
