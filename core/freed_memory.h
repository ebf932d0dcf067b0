// core/freed_memory.h: what becomes of memory that is freed only to be wanted again.
// malloc is jemalloc's (Evans 2006): tensors of a step come and go in an order that left glibc's
// heap a fifth larger than what was in use. By itself it hands blocks above 8 MiB back to the
// kernel at once, other pages when nobody has used them for ten seconds.
#pragma once

namespace polygraft {

/// From now on freed pages stay with the process. Every step allocates and frees the same large
/// tensors; pages handed back would have to be cleared again.
void keep_freed_memory();

}  // namespace polygraft
