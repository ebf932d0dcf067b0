// tests/core/hash_test.cpp: SHA-256 against the examples of FIPS 180-4, and what a folder's hash
// depends on.
#include "core/hash.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using polygraft::testing::TemporaryFolder;

TEST_CASE("SHA-256 gives the published digests", "[core][hash]") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("hashing in pieces, whole, and from a file agree", "[core][hash]") {
  const TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 500000; ++i) content += static_cast<char>(i * 7 + i / 256);
  write_file_atomically(folder / "data", content);
  Sha256 pieces;
  for (size_t at = 0; at < content.size(); at += 4097) pieces.update(content.substr(at, 4097));
  const std::string digest = pieces.finish();
  CHECK(digest == sha256(content));
  CHECK(digest == sha256_file(folder / "data"));
  CHECK_THROWS_AS(sha256_file(folder / "missing"), IoError);
  CHECK_THROWS_AS(sha256_file(folder.path()), IoError);
}

TEST_CASE("a folder's hash depends on names and contents, not on the order of writing",
          "[core][hash]") {
  const TemporaryFolder a, b;
  fs::create_directories(a / "sub");
  fs::create_directories(b / "sub");
  write_file_atomically(a / "x", "1");
  write_file_atomically(a / "sub/y", "2");
  write_file_atomically(b / "sub/y", "2");
  write_file_atomically(b / "x", "1");
  const std::string before = sha256_folder(a.path());
  CHECK(before == sha256_folder(b.path()));
  CHECK(before == sha256_folder(a.path() / ""));
  SECTION("another content") { write_file_atomically(b / "x", "3"); }
  SECTION("another name") { fs::rename(b / "x", b / "z"); }
  SECTION("another place") { fs::rename(b / "sub/y", b / "y"); }
  SECTION("one file more") { write_file_atomically(b / "empty", ""); }
  CHECK(before != sha256_folder(b.path()));
}

TEST_CASE("links to files count as their content, as in a model cache", "[core][hash]") {
  const TemporaryFolder plain, linked;
  write_file_atomically(plain / "x", "1");
  fs::create_directories(linked / "model");
  write_file_atomically(linked / "blob", "1");
  fs::create_symlink("../blob", linked / "model/x");
  CHECK(sha256_folder(plain.path()) == sha256_folder(linked / "model"));
  CHECK_THROWS_AS(sha256_folder(plain / "missing"), IoError);
}
