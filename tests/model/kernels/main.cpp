// tests/model/kernels/main.cpp: runs the tests on one path, `--path NAME`. Exit code 77 where this
// processor lacks it, which CTest reports as skipped.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <iostream>
#include <string>

#include "model/kernels/dispatch.h"
#include "tests/model/kernels/path_under_test.h"

namespace polygraft::testing {
namespace {

constexpr int kSkipped = 77;
const kernels::Operations* chosen = nullptr;

/// All that can be tested: the paths, and what the fastest of them offers in bfloat16.
std::vector<kernels::Path> all_tables() {
  std::vector<kernels::Path> tables = kernels::all_paths();
#if defined(__x86_64__)
  const kernels::Path fastest = tables.front();
  tables.push_back({&kernels::amx_rounding_operations(), fastest.runs_here});
#endif
  return tables;
}

int choose(const std::string& name) {
  for (const kernels::Path& path : all_tables()) {
    if (path.operations->name != name) continue;
    chosen = path.operations;
    if (path.runs_here) return 0;
    std::cout << "skipped: this processor does not have " << name << "\n";
    return kSkipped;
  }
  std::cout << "skipped: " << name << " is for another kind of processor\n";
  return kSkipped;
}

}  // namespace

const kernels::Operations& path_under_test() { return *chosen; }
bool fuses_multiply_add() { return std::string(chosen->name) != "portable"; }
bool multiplies_tiles(kernels::Stored stored) {
  const bool has_tiles = std::string(chosen->name).starts_with("AMX-BF16");
  return has_tiles && (stored == kernels::Stored::kBF16 || rounds_operands(stored));
}
bool rounds_operands(kernels::Stored stored) {
  return std::string(chosen->name) == "AMX-BF16-rounded" && stored != kernels::Stored::kF16;
}

}  // namespace polygraft::testing

int main(int argc, char** argv) {
  std::string name = "portable";
  Catch::Session session;
  session.cli(session.cli() | Catch::clara::Opt(name, "name")["--path"]("the path to test"));
  if (const int problem = session.applyCommandLine(argc, argv)) return problem;
  if (const int problem = polygraft::testing::choose(name)) return problem;
  return session.run();
}
