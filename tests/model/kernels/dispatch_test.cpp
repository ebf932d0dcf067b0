// tests/model/kernels/dispatch_test.cpp: which path is taken, and that no other can be asked for.
#include "model/kernels/dispatch.h"

#include <catch2/catch.hpp>

#include "core/error.h"

namespace polygraft::testing {

TEST_CASE("the fastest path that runs here is taken, unless another is asked for", "[kernels]") {
  const auto& paths = kernels::all_paths();
  REQUIRE(paths.back().runs_here);
  REQUIRE(std::string(paths.back().operations->name) == "portable");
  kernels::use_path("portable");
  REQUIRE(std::string(kernels::operations().name) == "portable");
  REQUIRE_FALSE(kernels::operations().is_fast);
}

TEST_CASE("a path that does not exist is refused with those that do", "[kernels]") {
  try {
    kernels::use_path("AVX-1024");
    FAIL("accepted");
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    CAPTURE(text);
    REQUIRE(text.find("AVX-1024") != std::string::npos);
    REQUIRE(text.find("portable") != std::string::npos);
    REQUIRE(text.find("POLYGRAFT_CPU_PATH") != std::string::npos);
  }
}

}  // namespace polygraft::testing
