// model/kernels/dispatch.cpp: see dispatch.h.
#include "model/kernels/dispatch.h"

#include <atomic>
#include <cstdlib>

#include "core/error.h"
#include "core/log.h"
#include "core/text.h"
#include "model/kernels/cpu_features.h"

namespace polygraft::kernels {
namespace {

constexpr const char* kPathVariable = "POLYGRAFT_CPU_PATH";

std::atomic<const Operations*> chosen{nullptr};

const Operations* find(std::string_view name) {
  std::string known;
  for (const Path& path : all_paths()) {
    if (!path.runs_here) continue;
    if (path.operations->name == name) return path.operations;
    known += concat(known.empty() ? "" : ", ", path.operations->name);
  }
  throw ConfigError("CPU kernels", "no such path on this processor")
      .expected(known)
      .found(std::string(name))
      .hint(concat("unset ", kPathVariable, " to take the fastest"));
}

const Operations& fastest() {
  if (const char* name = std::getenv(kPathVariable)) return *find(name);
  for (const Path& path : all_paths()) {
    if (path.runs_here) return *path.operations;
  }
  return portable_operations();
}

}  // namespace

const std::vector<Path>& all_paths() {
  static const std::vector<Path> paths = {
#if defined(__x86_64__)
    {&amx_operations(), cpu_features().amx_bf16},
    {&avx512_operations(), cpu_features().avx512f},
    {&avx2_operations(), cpu_features().avx2},
#endif
    {&portable_operations(), true},
  };
  return paths;
}

const Operations& operations() {
  if (const Operations* path = chosen.load()) return *path;
  static const Operations& path = [&]() -> const Operations& {
    const Operations& found = fastest();
    log_info(concat("CPU kernels: ", found.name));
    return found;
  }();
  return path;
}

void use_path(std::string_view name) { chosen.store(find(name)); }

}  // namespace polygraft::kernels
