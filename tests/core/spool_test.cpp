// tests/core/spool_test.cpp: bytes that wait on disk come back as they went, and leave nothing.
#include "core/spool.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace polygraft::testing {

TEST_CASE("a spool gives back what it took, in order, and has no name", "[core][file]") {
  const TemporaryFolder root;
  std::string expected = "before ";
  Spool spool(root / "out");
  for (int i = 0; i < 300'000; ++i) {  // several buffers
    const std::string piece = std::to_string(i);
    spool.append(piece.data(), piece.size());
    expected += piece;
  }
  CHECK(root.entries().empty());
  AtomicFile out(root / "out");
  out.write("before ");
  spool.move_to(out);
  out.commit();
  CHECK(read_file(root / "out") == expected);
  CHECK(root.entries().size() == 1);
}

TEST_CASE("an empty spool is nothing, and one that cannot be made an error", "[core][file]") {
  const TemporaryFolder root;
  AtomicFile out(root / "out");
  Spool(root / "out").move_to(out);
  out.commit();
  CHECK(read_file(root / "out").empty());
  CHECK_THROWS_AS(Spool(root / "missing/out"), IoError);
}

}  // namespace polygraft::testing
