// tokenizer/warn_once.cpp: see warn_once.h.
#include "tokenizer/warn_once.h"

#include <mutex>
#include <set>

#include "core/log.h"

namespace polygraft::tokenizer {

void warn_once(const std::string& matter, const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> told;
  const std::scoped_lock lock(mutex);
  if (told.insert(matter).second) log_warn(message + " (said once)");
}

}  // namespace polygraft::tokenizer
