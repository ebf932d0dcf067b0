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
thread_local Precision precision_here = Precision::kFloat32;

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

const Operations& path_in_use() {
  if (const Operations* path = chosen.load()) return *path;
  static const Operations& path = [&]() -> const Operations& {
    const Operations& found = fastest();
    log_info(concat("CPU kernels: ", found.name));
    return found;
  }();
  return path;
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
  const Operations& path = path_in_use();
#if defined(__x86_64__)
  if (precision_here == Precision::kBFloat16) return amx_rounding_operations();
#endif
  return path;
}

bool has_precision(Precision precision) {
#if defined(__x86_64__)
  if (precision == Precision::kBFloat16) return &path_in_use() == &amx_operations();
#endif
  return precision == Precision::kFloat32;
}

Precision precision() { return precision_here; }

PrecisionScope::PrecisionScope(Precision precision) : before_(precision_here) {
  if (!has_precision(precision)) {
    throw ConfigError("CPU kernels", "this processor has no products in bfloat16")
        .expected("AMX-BF16")
        .found(path_in_use().name);
  }
  precision_here = precision;
}

PrecisionScope::~PrecisionScope() { precision_here = before_; }

void use_path(std::string_view name) { chosen.store(find(name)); }

}  // namespace polygraft::kernels
