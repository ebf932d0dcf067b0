// cli/step_summary.cpp: see step_summary.h.
#include "cli/step_summary.h"

#include <cstdlib>

#include "core/file.h"

namespace polygraft::cli {

void append_step_summary(const std::string& markdown) {
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary == nullptr || *summary == '\0') return;
  append_to_file(summary, markdown + "\n");
}

}  // namespace polygraft::cli
