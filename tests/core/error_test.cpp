// tests/core/error_test.cpp: what an error says, and that its type survives the chained parts.
#include "core/error.h"

#include <catch2/catch.hpp>
#include <string>

using namespace polygraft;

TEST_CASE("an error tells where, what was expected, what was found, what to do", "[core][error]") {
  try {
    throw FormatError("model.safetensors", "tensor 'gate.weight'")
        .expected("[8, 64]")
        .found("[7, 64]")
        .hint("download it again");
  } catch (const FormatError& error) {
    CHECK(std::string(error.what()) ==
          "format error: model.safetensors: tensor 'gate.weight'\n"
          "  expected: [8, 64]\n"
          "  found:    [7, 64]\n"
          "  hint:     download it again");
    CHECK(error.exit_code() == ExitCode::kRuntime);
  }
}

TEST_CASE("each type maps to its documented exit code", "[core][error]") {
  CHECK(ConfigError("a", "b").exit_code() == ExitCode::kUsage);
  CHECK(NotBuiltError("expand pack").exit_code() == ExitCode::kUsage);
  CHECK(IoError("a", "b").exit_code() == ExitCode::kRuntime);
  CHECK(NumericError("a", "b").exit_code() == ExitCode::kRuntime);
  CHECK(NotComparable("a", "b").exit_code() == ExitCode::kNotComparable);
  CHECK(std::string(NotBuiltError("expand pack").what()) == "not built yet: expand pack");
  CHECK(Interrupted(15).signal_number() == 15);
}
