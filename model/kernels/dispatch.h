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
/// (to repeat another machine's run). Said once in the log. @throws ConfigError for a name that is
/// no path's.
const Operations& operations();

/// Takes another path from now on, for tests and benches. @throws ConfigError for a name that is no
/// path's, or a path that this processor lacks.
void use_path(std::string_view name);

}  // namespace polygraft::kernels
