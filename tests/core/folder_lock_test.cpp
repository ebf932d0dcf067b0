// tests/core/folder_lock_test.cpp: one holder at a time, named in the second one's error.
#include "core/folder_lock.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using polygraft::testing::TemporaryFolder;

TEST_CASE("a folder has one holder at a time, and is free again after it", "[core]") {
  const TemporaryFolder scratch;
  const fs::path folder = scratch.path() / "made" / "on the way";
  {
    const FolderLock held(folder);
    try {
      const FolderLock second(folder);
      FAIL("two holders");
    } catch (const ConfigError& error) {
      const std::string message = error.what();
      CHECK(message.find(std::to_string(::getpid())) != std::string::npos);
      CHECK(message.find("on the way") != std::string::npos);
    }
  }
  CHECK_NOTHROW(FolderLock(folder));
}

TEST_CASE("a lock below a file is an IoError", "[core]") {
  const TemporaryFolder scratch;
  write_file_atomically(scratch.path() / "file", "x");
  CHECK_THROWS_AS(FolderLock(scratch.path() / "file" / "folder"), IoError);
}

TEST_CASE("lines are added at the end of a file", "[core]") {
  const TemporaryFolder scratch;
  const fs::path file = scratch.path() / "summary";
  append_to_file(file, "one\n");
  append_to_file(file, "two\n");
  CHECK(read_file(file) == "one\ntwo\n");
  CHECK_THROWS_AS(append_to_file(scratch.path(), "x"), IoError);
}
