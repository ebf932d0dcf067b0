// core/freed_memory.cpp: see freed_memory.h.
#include "core/freed_memory.h"

#include <malloc.h>

namespace polygraft {

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace polygraft
