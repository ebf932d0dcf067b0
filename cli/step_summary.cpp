// cli/step_summary.cpp: see step_summary.h.
#include "cli/step_summary.h"

#include <cstdlib>

#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::cli {

void append_step_summary(const std::string& markdown) {
  const char* summary = std::getenv("GITHUB_STEP_SUMMARY");
  if (summary == nullptr || *summary == '\0') return;
  try {
    append_to_file(summary, markdown + "\n");
  } catch (const IoError& error) {
    log_warn(concat("the job's page shows no report: GITHUB_STEP_SUMMARY: ", error.what()));
  }
}

}  // namespace polygraft::cli
