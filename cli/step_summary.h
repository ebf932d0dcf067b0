// cli/step_summary.h: what a GitHub Actions job shows on its page.
#pragma once
#include <string>

namespace polygraft::cli {

/// Appends to the file that GITHUB_STEP_SUMMARY names, if it is set. What cannot be written is a
/// warning: the verdict and its exit code stand.
void append_step_summary(const std::string& markdown);

}  // namespace polygraft::cli
