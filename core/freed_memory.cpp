// core/freed_memory.cpp: see freed_memory.h.
#include "core/freed_memory.h"

#ifdef POLYGRAFT_JEMALLOC

#include <jemalloc/jemalloc.h>
#include <sys/types.h>

#include <string>

#include "core/text.h"

namespace polygraft {
namespace {

/// After how long an arena hands back pages that nobody uses; an arena without threads has no such
/// setting yet.
void never_hand_back(const std::string& arena) {
  ssize_t never = -1;
  mallctl((arena + ".dirty_decay_ms").c_str(), nullptr, nullptr, &never, sizeof(never));
}

}  // namespace

void keep_freed_memory() {
  never_hand_back("arenas");  // those that come later
  unsigned num_arenas = 0;
  size_t size = sizeof(num_arenas);
  mallctl("arenas.narenas", &num_arenas, &size, nullptr, 0);
  for (unsigned i = 0; i < num_arenas; ++i) never_hand_back(concat("arena.", i));
}

}  // namespace polygraft

#else

namespace polygraft {

void keep_freed_memory() {}  // a sanitizer's malloc keeps what it wants

}  // namespace polygraft

#endif
