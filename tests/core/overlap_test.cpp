// tests/core/overlap_test.cpp: an output never lies on what it is made from, whatever it is called.
#include "core/overlap.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using polygraft::testing::TemporaryFolder;

TEST_CASE("an output that is an input, lies in one or holds one is refused", "[core]") {
  const TemporaryFolder root;
  create_folders(root / "models/base/sub");
  fs::create_directory_symlink(root / "models/base", root / "link");
  fs::create_directory_symlink(root / "models", root / "up");
  const fs::path base = root / "models/base";
  for (const fs::path& output :
       {base, root / "models/base/", root / "models/../models/base/.", root / "link",
        root / "up/base", base / "new", root / "link/new/deeper", root / "models", root.path()}) {
    INFO(output);
    CHECK_THROWS_AS(refuse_overlap(output, base), ConfigError);
    CHECK_THROWS_AS(refuse_overlap(output, root / "link"), ConfigError);
  }
  for (const fs::path& output : {root / "models/base2", root / "models/bas", root / "new/base"}) {
    INFO(output);
    CHECK_NOTHROW(refuse_overlap(output, base));
  }
  root.write("input", "x");
  fs::create_hard_link(root / "input", root / "hard");
  CHECK(is_same(root / "hard", root / "input"));
  CHECK_THROWS_AS(refuse_overlap(root / "hard", root / "input"), ConfigError);
  const fs::path before = fs::current_path();
  fs::current_path(root / "models");
  CHECK_THROWS_AS(refuse_overlap("base", base), ConfigError);
  CHECK_THROWS_AS(refuse_overlap(".", base), ConfigError);
  CHECK_THROWS_AS(refuse_overlap("new", "../models"), ConfigError);
  CHECK_NOTHROW(refuse_overlap("new", "base"));
  fs::current_path(before);
}
