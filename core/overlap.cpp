// core/overlap.cpp: see overlap.h.
#include "core/overlap.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "core/partial.h"
#include "core/text.h"

namespace polygraft {
namespace {

namespace fs = std::filesystem;

fs::path real_path(const fs::path& path) {
  std::error_code ignored;
  return fs::weakly_canonical(fs::absolute(clean_target(path)), ignored);
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

}  // namespace

void refuse_overlap(const fs::path& output, const fs::path& input) {
  const fs::path to = real_path(output), from = real_path(input);
  if (!lies_in(to, from) && !lies_in(from, to)) return;
  const char* relation = to == from          ? "is the same folder as"
                         : lies_in(to, from) ? "lies in"
                                             : "holds";
  throw ConfigError(output.string(), concat("the output ", relation, " an input"))
      .found(concat("input ", input.string()))
      .hint("name another output; what is read is never changed");
}

}  // namespace polygraft
