// tests/core/mapped_fault_test.cpp: a file that gets shorter under its map is named, and nothing
// else is lost than the process.
#include "core/mapped_fault.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/file.h"
#include "tests/core/child_process.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using polygraft::testing::TemporaryFolder;

namespace {

/// Runs `work` in a child whose stderr goes to `log`. @return its exit code.
int run_logged(const fs::path& log, const std::function<int()>& work) {
  return testing::run_child([&] {
    if (std::freopen(log.c_str(), "w", stderr) == nullptr) return 98;
    return work();
  });
}

MappedFile mapped_and_truncated(const fs::path& file) {
  write_file_atomically(file, std::string(size_t{3} << 20, 'x'));
  MappedFile mapped(file);
  fs::resize_file(file, 100);
  return mapped;
}

}  // namespace

TEST_CASE("reading a map whose file was truncated ends with exit code 1 and the file's name",
          "[core]") {
  const TemporaryFolder root;
  const fs::path log = root / "log";
  const int code = run_logged(log, [&] {
    exit_on_mapped_fault();
    const MappedFile other(log);
    const MappedFile mapped = mapped_and_truncated(root / "weights.safetensors");
    AtomicFile unfinished(root / "result");
    const MappedFile dropped = mapped_and_truncated(root / "dropped");
    return static_cast<int>(mapped.data()[size_t{2} << 20]);
  });
  CHECK(code == 1);
  const std::string message = read_file(log);
  CHECK(message.find("weights.safetensors: cannot be read any more") != std::string::npos);
  CHECK(message.find("dropped") == std::string::npos);
  CHECK_FALSE(fs::exists(root / "result"));
  write_file_atomically(root / "result", "whole");  // removes what the child left
  CHECK(root.entries().size() == 4);
}

TEST_CASE("a bus error outside of maps kills as before", "[core]") {
  const TemporaryFolder root;
  const int code = run_logged(root / "log", [] {
    exit_on_mapped_fault();
    return raise(SIGBUS);
  });
  CHECK(code == 128 + SIGBUS);
}

TEST_CASE("writing from a map whose file was truncated is an error that names it", "[core]") {
  const TemporaryFolder root;
  const MappedFile mapped = mapped_and_truncated(root / "weights");
  AtomicFile out(root / "out");
  try {
    out.write(mapped.text());
    FAIL("written");
  } catch (const IoError& error) {
    CHECK(std::string(error.what()).find("weights: cannot be read any more") != std::string::npos);
  }
}
