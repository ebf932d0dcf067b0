// tests/core/atomic_folder_test.cpp: folders that appear whole or not at all.
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <fstream>

#include "core/error.h"
#include "core/file.h"
#include "core/folder_lock.h"
#include "core/remove_folder.h"
#include "core/replace.h"
#include "core/text.h"
#include "tests/core/child_process.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

namespace {

void fill(const fs::path& folder, const std::string& content) {
  fs::create_directories(folder / "sub");
  std::ofstream(folder / "sub" / "file") << content;
}

std::string content_of(const fs::path& folder) { return read_file(folder / "sub" / "file"); }

}  // namespace

TEST_CASE("a folder appears on commit, with its missing parents", "[core][folder]") {
  const TemporaryFolder root;
  {
    AtomicFolder out(root / "a/b/model/", false);  // a trailing slash changes nothing
    fill(out.path(), "new");
    CHECK(out.path().parent_path() == root / "a/b");
    CHECK_FALSE(fs::exists(root / "a/b/model"));
    out.commit();
  }
  CHECK(content_of(root / "a/b/model") == "new");
  CHECK(std::distance(fs::directory_iterator(root / "a/b"), {}) == 1);
}

TEST_CASE("without commit no folder and no partial folder remain", "[core][folder]") {
  const TemporaryFolder root;
  {
    AtomicFolder out(root / "model", false);
    fill(out.path(), "half");
  }
  CHECK(root.entries().empty());
}

TEST_CASE("an existing folder is refused, or replaced as a whole", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model", "old");
  std::ofstream(root / "model" / "only-in-old") << "";
  CHECK_THROWS_AS(AtomicFolder(root / "model", false), ConfigError);
  CHECK(root.entries() == Names{"model"});
  {
    AtomicFolder out(root / "model", true);
    fill(out.path(), "new");
    CHECK(content_of(root / "model") == "old");
    out.commit();
  }
  CHECK(content_of(root / "model") == "new");
  CHECK_FALSE(fs::exists(root / "model/only-in-old"));
  CHECK(root.entries() == Names{"model"});
}

TEST_CASE("a folder that appears meanwhile is not overwritten without --force", "[core][folder]") {
  const TemporaryFolder root;
  AtomicFolder out(root / "model", false);
  fill(out.path(), "ours");
  fill(root / "model", "theirs");
  CHECK_THROWS_AS(out.commit(), ConfigError);
  CHECK(content_of(root / "model") == "theirs");
}

TEST_CASE("the working folder and those above it are never replaced", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model", "precious");
  const fs::path before = fs::current_path();
  fs::current_path(root / "model/sub");
  for (const fs::path target : {".", "..", "../../model", "./", "/"}) {
    CHECK_THROWS_WITH(AtomicFolder(target, true), Contains("current folder"));
  }
  CHECK_NOTHROW(AtomicFolder("../other", true));
  fs::current_path(before);
  CHECK(content_of(root / "model") == "precious");
}

TEST_CASE("after kill -9 the next run removes the partial folder and succeeds", "[core][folder]") {
  const TemporaryFolder root;
  kill_child_in_the_middle([&](const auto& here) {
    AtomicFolder out(root / "model", false);
    fill(out.path(), "half");
    here();
  });
  REQUIRE(root.entries().size() == 2);  // the partial folder and the lock file
  CHECK_FALSE(fs::exists(root / "model"));
  AtomicFolder out(root / "model", false);
  fill(out.path(), "whole");
  out.commit();
  CHECK(root.entries() == Names{"model"});
  CHECK(content_of(root / "model") == "whole");
}

TEST_CASE("a removed folder leaves nothing, half-removed ones neither", "[core][folder]") {
  const TemporaryFolder root;
  for (const char* name : {"model", "other"}) fill(root / name, "old");
  fill(root / "model.polygraft-partial-1", "what a removal that was killed had left");
  remove_folder(root / "model/");
  CHECK(root.entries() == Names{"other"});
  CHECK_THROWS_AS(remove_folder(root / "model"), IoError);
  CHECK(root.entries() == Names{"other"});
}

TEST_CASE("a folder that is being written is not removed", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model", "old");
  const AtomicFolder out(root / "model", true);
  CHECK_THROWS_WITH(remove_folder(root / "model"), Contains("already writing"));
  CHECK(content_of(root / "model") == "old");
}

TEST_CASE("what killed processes left is found by prefix, and removed", "[core][folder]") {
  const TemporaryFolder root;
  for (const char* name : {"part-1", "part-2", "else-3"}) {
    kill_child_in_the_middle([&](const auto& here) {
      const AtomicFolder out(root / name, false);
      here();
    });
  }
  REQUIRE(root.entries().size() == 3 * 2);  // partial folders and lock files
  fill(root / "part-4", "whole");
  const AtomicFolder alive(root / "part-5", false);
  remove_unfinished(root / "", "part-");
  CHECK(root.entries().size() == 2 + 1 + 2);
  CHECK(fs::exists(alive.path()));
  CHECK(content_of(root / "part-4") == "whole");
}

TEST_CASE("a second process is kept out of an output, and told by whom", "[core][folder]") {
  const TemporaryFolder root;
  AtomicFolder ours(root / "model", false);
  fill(ours.path(), "ours");
  CHECK(run_child([&] {
          try {
            const AtomicFolder theirs(root / "model", false);
            return 1;
          } catch (const ConfigError& error) {
            std::array<char, 256> host{};
            ::gethostname(host.data(), host.size() - 1);
            const std::string holder = concat("process ", ::getppid(), " on ", host.data());
            return std::string(error.what()).find(holder) == std::string::npos ? 2 : 42;
          }
        }) == 42);
  CHECK_THROWS_WITH(AtomicFolder(root / "model", false), Contains("already writing"));
  CHECK(content_of(ours.path()) == "ours");
  ours.commit();
  CHECK(content_of(root / "model") == "ours");
  CHECK(root.entries() == Names{"model"});
}

TEST_CASE("an output that cannot be made leaves no lock", "[core][folder]") {
  const TemporaryFolder root;
  write_file_atomically(root / "model", "a file");
  CHECK_THROWS_AS(AtomicFolder(root / "model", false), ConfigError);
  CHECK_THROWS_AS(AtomicFolder(root / "model/inside", false), IoError);
  CHECK(root.entries() == Names{"model"});
}

TEST_CASE("both ways of replacing end alike", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model", "old");
  fill(root / "fresh", "new");
  SECTION("moving aside") { replace_by_moving_aside(root / "fresh", root / "model"); }
  SECTION("exchange, where the file system can") {
    if (!exchange(root / "fresh", root / "model")) {
      WARN("no atomic exchange on this file system");
      replace_by_moving_aside(root / "fresh", root / "model");
    } else {
      CHECK(content_of(root / "fresh") == "old");
      fs::remove_all(root / "fresh");
    }
  }
  SECTION("whichever fits") { replace_folder(root / "fresh", root / "model"); }
  CHECK(content_of(root / "model") == "new");
  CHECK(root.entries() == Names{"model"});
}

TEST_CASE("a replacement that fails leaves the old folder", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model", "old");
  CHECK_THROWS_AS(replace_by_moving_aside(root / "missing", root / "model"), IoError);
  CHECK(content_of(root / "model") == "old");
  CHECK(root.entries() == Names{"model"});
}

TEST_CASE("a folder that was moved aside when its process died is put back", "[core][folder]") {
  const TemporaryFolder root;
  fill(root / "model.polygraft-old", "old");
  {
    const Descriptor lock = lock_target(root / "model");  // it has not died
    CHECK_THROWS_AS(AtomicFolder(root / "model", true), ConfigError);
    CHECK(root.entries() == Names{"model.lock", "model.polygraft-old"});
    remove_target_lock(root / "model");
  }
  CHECK_THROWS_AS(AtomicFolder(root / "model", false), ConfigError);
  CHECK(content_of(root / "model") == "old");
  CHECK(root.entries() == Names{"model"});
}
