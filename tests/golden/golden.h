// tests/golden/golden.h: outputs compared with approved files below tests/golden. After a wanted
// change: `bash tests/golden/approve.sh BUILD_FOLDER`, then read the diff before committing it.
#pragma once
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/file.h"

namespace polygraft {

/// CHECKs that `text` equals tests/golden/`name`; with POLYGRAFT_APPROVE=1 writes it there instead.
inline void check_golden(const std::string& name, const std::string& text) {
  const char* source = std::getenv("POLYGRAFT_SOURCE_DIR");
  REQUIRE(source != nullptr);  // CTest sets it
  const fs::path file = fs::path(source) / "tests" / "golden" / name;
  const char* approve = std::getenv("POLYGRAFT_APPROVE");
  if (approve != nullptr && std::string(approve) == "1") {
    fs::create_directories(file.parent_path());
    write_file_atomically(file, text);
    return;
  }
  INFO("golden file " << file << "; approve a wanted change with tests/golden/approve.sh");
  REQUIRE(fs::exists(file));
  CHECK(text == read_file(file));
}

}  // namespace polygraft
