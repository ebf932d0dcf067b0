// core/overlap.cpp: see overlap.h.
#include "core/overlap.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "core/file.h"
#include "core/partial.h"
#include "core/text.h"

namespace polygraft {
namespace {

fs::path real_path(const fs::path& path) {
  if (path.empty()) throw ConfigError("path", "is empty");
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(clean_target(path)), ignored);
}

bool begins_with(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

bool is_same(const fs::path& one, const fs::path& other) {
  std::error_code missing;
  return real_path(one) == real_path(other) || fs::equivalent(one, other, missing);
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return begins_with(real_path(path), real_path(folder));
}

void refuse_overlap(const fs::path& output, const fs::path& input) {
  const char* relation = is_same(output, input)   ? "is the same as"
                         : lies_in(output, input) ? "lies in"
                         : lies_in(input, output) ? "holds"
                                                  : nullptr;
  if (relation == nullptr) return;
  throw ConfigError(output.string(), concat("the output ", relation, " an input"))
      .found(concat("input ", input.string()))
      .hint("name another output; what is read is never changed");
}

}  // namespace polygraft
