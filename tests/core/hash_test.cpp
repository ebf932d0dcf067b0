// tests/core/hash_test.cpp: SHA-256 against the examples of FIPS 180-4.
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
