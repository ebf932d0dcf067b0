// tests/core/file_test.cpp: reading, and single files that appear whole or not at all.
#include "core/file.h"

#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <fstream>

#include "core/error.h"
#include "core/text.h"
#include "tests/core/child_process.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::testing;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

TEST_CASE("a mapped file outlives its object through keep_alive and copies", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", std::string("ab\0cd", 5));
  std::shared_ptr<const void> alive;
  const std::byte* data = nullptr;
  {
    const MappedFile mapped(folder / "x");
    const MappedFile copy = mapped;
    CHECK(copy.text() == std::string_view("ab\0cd", 5));
    CHECK(copy.size() == 5);
    CHECK(copy.path() == folder / "x");
    data = mapped.data();
    alive = mapped.keep_alive();
  }
  fs::remove(folder / "x");
  CHECK(static_cast<char>(data[4]) == 'd');
}

TEST_CASE("empty files, files in /proc and large files are read whole", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").size() == 0);
  CHECK(MappedFile(folder / "empty").text().empty());
  CHECK(read_file(folder / "empty").empty());
  CHECK_THAT(read_file("/proc/self/status"), Contains("Pid:"));  // says its size is 0
  const std::string large((size_t{5} << 20) + 3, 'x');
  write_file_atomically(folder / "large", large);
  CHECK(read_file(folder / "large") == large);
  CHECK(MappedFile(folder / "large").text() == large);
}

TEST_CASE("what is no readable regular file is refused by name", "[core][file]") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const char* name : {"missing", "pipe", ".", "missing/deeper"}) {
    const fs::path path = folder / name;
    CHECK_THROWS_AS(MappedFile(path), IoError);
    CHECK_THROWS_WITH(read_file(path), Contains(path.string()));
  }
  CHECK_THROWS_WITH(read_file(folder / "missing"),
                    Contains("No such file or directory") && Contains("hint"));
  CHECK_THROWS_WITH(read_file(folder.path()), Contains("a folder"));
}

TEST_CASE("a file appears on commit, and the old one stays until then", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "old");
  {
    AtomicFile out(folder / "x");
    out.write("ne");
    out.write(std::string(1 << 20, 'w'));  // beyond the buffer
    out.write("!");
    CHECK(read_file(folder / "x") == "old");
    out.commit();
    CHECK(read_file(folder / "x") == "ne" + std::string(1 << 20, 'w') + "!");
  }
  CHECK(folder.entries() == Names{"x"});
}

TEST_CASE("without commit, as after an exception, nothing remains", "[core][file]") {
  const TemporaryFolder folder;
  try {
    AtomicFile out(folder / "x");
    out.write("half");
    throw NumericError("loss", "is not finite");
  } catch (const NumericError&) {
  }
  CHECK(folder.entries().empty());
}

TEST_CASE("an output that cannot be made is an IoError that names it", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  CHECK_THROWS_WITH(AtomicFile(folder / "no/such/x"),
                    Contains("no/such/x") && Contains("No such file"));
  CHECK_THROWS_WITH(AtomicFile(folder / "file/x"), Contains("Not a directory"));
  CHECK_THROWS_WITH(AtomicFile(folder.path()), Contains("a folder"));
  CHECK_THROWS_AS(AtomicFile(folder / std::string(300, 'n')), IoError);
}

TEST_CASE("no file takes the place of a pipe, a device or a socket", "[core][file]") {
  const TemporaryFolder folder;
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  fs::create_symlink("pipe", folder / "link");
  folder.write("plain", "");
  fs::create_symlink("plain", folder / "other");
  CHECK(irregular_kind(folder / "pipe") == "a pipe");
  CHECK(irregular_kind(folder / "link") == "a pipe");
  CHECK(irregular_kind(folder.path() / ".") == "a folder");
  for (const char* device : {"/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/status"})
    CHECK(irregular_kind(device) == "a device");
  for (const char* name : {"plain", "other", "new", "new/deeper"})
    CHECK(irregular_kind(folder / name).empty());
  for (const char* name : {"pipe", "link"}) {
    CHECK_THROWS_WITH(write_file_atomically(folder / name, "x"), Contains("a pipe"));
    CHECK_THROWS_WITH(AtomicFolder(folder / name, /*replace=*/true), Contains("a pipe"));
  }
  CHECK(folder.entries() == Names{"link", "other", "pipe", "plain"});
  CHECK(fs::is_fifo(folder / "pipe"));
}

TEST_CASE("a copy can be written over, though its source forbids that", "[core][file]") {
  const TemporaryFolder scratch;
  const fs::path from = scratch / "from", to = scratch / "to";
  for (const std::string& content : {std::string("text"), std::string()}) {
    write_file_atomically(from, content);
    fs::permissions(from, fs::perms::owner_read);
    copy_bytes(from, to);
    copy_bytes(from, to);
    CHECK(read_file(to) == content);
    CHECK((fs::status(to).permissions() & fs::perms::owner_write) != fs::perms::none);
  }
  CHECK_THROWS_AS(copy_bytes(scratch / "none", to), IoError);
}

TEST_CASE("one process cannot write the same file twice at once", "[core][file]") {
  const TemporaryFolder folder;
  AtomicFile first(folder / "x");
  CHECK_THROWS_WITH(AtomicFile(folder / "x"), Contains("already writing"));
  first.write("first");
  first.commit();
  CHECK(read_file(folder / "x") == "first");
}

TEST_CASE("hitting a size limit leaves the old file and no partial one", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "old");
  const int code = run_child([&] {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{8192, 8192};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      AtomicFile out(folder / "x");
      out.write(std::string(100, 'x'));
      out.write(std::string(1 << 20, 'x'));
      return 1;
    } catch (const IoError& error) {
      return std::string(error.what()).find("File too large") != std::string::npos ? 42 : 2;
    }
  });
  CHECK(code == 42);
  CHECK(folder.entries() == Names{"x"});
  CHECK(read_file(folder / "x") == "old");
}

TEST_CASE("a full disk is told as such, with the room that is left", "[core][file]") {
  const TemporaryFolder folder;
  if (mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    WARN("cannot mount a small tmpfs here: only the size limit is tested");
    return;
  }
  std::string message;
  try {
    AtomicFile out(folder / "x");
    for (int i = 0; i < 1000; ++i) out.write(std::string(1000, 'x'));
    out.commit();
  } catch (const IoError& error) {
    message = error.what();
  }
  const Names left = folder.entries();
  umount(folder.path().c_str());
  CHECK_THAT(message,
             Contains("No space left on device") && Contains("hint") && Contains("free now"));
  CHECK(left.empty());
}

TEST_CASE("what a killed writer left is removed by the next; a living one's is not",
          "[core][file]") {
  const TemporaryFolder folder;
  kill_child_in_the_middle([&](const auto& here) {
    AtomicFile out(folder / "x");
    out.write(std::string(1 << 20, 'x'));
    here();
  });
  REQUIRE(folder.entries().size() == 1);
  CHECK_THAT(folder.entries()[0], Contains("x.polygraft-partial-"));
  // Process numbers repeat in containers: one with our own number may be left from before.
  std::ofstream(folder / concat("x.polygraft-partial-", getpid())) << "from another life";
  std::ofstream(folder / "x.polygraft-partial-notes") << "the user's own";
  std::ofstream(folder / "y.polygraft-partial-1") << "of another target";

  AtomicFile ours(folder / "x");
  CHECK(folder.entries().size() == 3);
  const int code = run_child([&] {
    write_file_atomically(folder / "x", "theirs");
    return fs::exists(folder / concat("x.polygraft-partial-", getppid())) ? 42 : 1;
  });
  CHECK(code == 42);
  ours.write("ours");
  ours.commit();
  CHECK(read_file(folder / "x") == "ours");
  CHECK(fs::exists(folder / "x.polygraft-partial-notes"));
  CHECK(fs::exists(folder / "y.polygraft-partial-1"));
}

TEST_CASE("an existing output is refused without --force", "[core][file]") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x", "");
  fs::create_symlink("nowhere", folder / "dangling");
  CHECK_THROWS_AS(refuse_existing_output(folder / "x", false), ConfigError);
  CHECK_THROWS_WITH(refuse_existing_output(folder.path(), false), Contains("--force"));
  CHECK_THROWS_AS(refuse_existing_output(folder / "dangling", false), ConfigError);
  CHECK_NOTHROW(refuse_existing_output(folder / "x", true));
  CHECK_NOTHROW(refuse_existing_output(folder / "new", false));
}
