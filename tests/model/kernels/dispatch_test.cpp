// tests/model/kernels/dispatch_test.cpp: which path is taken, and that no other can be asked for.
#include "model/kernels/dispatch.h"

#include <catch2/catch.hpp>
#include <thread>

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

TEST_CASE("bfloat16 is had on the path that has it, on this thread, for a time", "[kernels]") {
  kernels::use_path("portable");
  CHECK(kernels::has_precision(kernels::Precision::kFloat32));
  CHECK_FALSE(kernels::has_precision(kernels::Precision::kBFloat16));
  CHECK_THROWS_WITH(kernels::PrecisionScope(kernels::Precision::kBFloat16),
                    Catch::Contains("AMX-BF16") && Catch::Contains("portable"));
  const kernels::Path& fastest = kernels::all_paths().front();
  if (!fastest.runs_here || std::string(fastest.operations->name) != "AMX-BF16") return;
  kernels::use_path("AMX-BF16");
  {
    const kernels::PrecisionScope scope(kernels::Precision::kBFloat16);
    CHECK(std::string(kernels::operations().name) == "AMX-BF16-rounded");
    std::string elsewhere;
    std::thread([&] { elsewhere = kernels::operations().name; }).join();
    CHECK(elsewhere == "AMX-BF16");
  }
  CHECK(std::string(kernels::operations().name) == "AMX-BF16");
}

}  // namespace polygraft::testing
