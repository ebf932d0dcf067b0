// tests/eval/fixture.h: files beside the tests, and folders that vanish with the test.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/file.h"
#include "core/json.h"

namespace polygraft::eval {

inline fs::path source_folder() {
  const char* folder = std::getenv("POLYGRAFT_SOURCE_DIR");
  return folder == nullptr ? fs::current_path() : fs::path(folder);
}
inline fs::path fixture_path(const std::string& name) {
  return source_folder() / "tests" / "eval" / "fixtures" / name;
}
inline Json fixture_json(const std::string& name) { return read_json(fixture_path(name)); }

/// An empty folder below the system's temporary one.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "polygraft-eval-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw IoError(pattern, "cannot make a temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace polygraft::eval
