// cli/step_summary.h: what a GitHub Actions job shows on its page.
#pragma once
#include <string>

namespace polygraft::cli {

/// Appends to the file that GITHUB_STEP_SUMMARY names, if it is set. @throws IoError.
void append_step_summary(const std::string& markdown);

}  // namespace polygraft::cli
