// tests/eval/fixture.h: files beside the tests, and folders that vanish with the test.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/json.h"
#include "tests/core/temporary_folder.h"

namespace polygraft::eval {

inline fs::path source_folder() {
  const char* folder = std::getenv("POLYGRAFT_SOURCE_DIR");
  return folder == nullptr ? fs::current_path() : fs::path(folder);
}
inline fs::path fixture_path(const std::string& name) {
  return source_folder() / "tests" / "eval" / "fixtures" / name;
}
inline Json fixture_json(const std::string& name) { return read_json(fixture_path(name)); }

using testing::TemporaryFolder;

}  // namespace polygraft::eval
