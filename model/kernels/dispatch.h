// model/kernels/dispatch.h: which path this processor runs.
#pragma once
#include <string_view>
#include <vector>

#include "model/kernels/operations.h"

namespace polygraft::kernels {

/// A path that was compiled in, and whether this processor can run it.
struct Path {
  const Operations* operations;
  bool runs_here;
};

/// All of them, the fastest first; the last one runs anywhere.
const std::vector<Path>& all_paths();

/// The fastest that runs here, or the one that the environment variable POLYGRAFT_CPU_PATH names
/// (to repeat another machine's run), in this thread's precision. Said once in the log. @throws
/// ConfigError for a name that is no path's.
const Operations& operations();

/// What operands of products count as: the float32 values that they are, or rounded to bfloat16
/// (and added up in float32), as in mixed-precision training.
enum class Precision { kFloat32, kBFloat16 };

/// Whether operations() can have it: bfloat16 is AMX-BF16's alone.
bool has_precision(Precision precision);

/// This thread's.
Precision precision();

/// operations() called on this thread have a precision for as long as this lives; without, float32.
class PrecisionScope {
 public:
  /// @throws ConfigError when this processor, or the path in use, lacks it.
  explicit PrecisionScope(Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  Precision before_;
};

/// Takes another path from now on, for tests and benches. @throws ConfigError for a name that is no
/// path's, or a path that this processor lacks.
void use_path(std::string_view name);

}  // namespace polygraft::kernels
