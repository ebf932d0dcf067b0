// core/freed_memory.h: what becomes of memory that is freed only to be wanted again.
#pragma once

namespace polygraft {

/// From now on freed blocks of up to 32 MiB (the highest threshold that glibc accepts) stay with
/// the process. Every step allocates and frees the same large tensors; by default glibc hands them
/// back to the kernel, which then clears their pages again at each step.
void keep_freed_memory();

}  // namespace polygraft
