// tests/core/mapped_pages_test.cpp: hints about pages change memory, never bytes.
#include "core/mapped_pages.h"

#include <catch2/catch.hpp>
#include <string>

#include "core/file.h"
#include "tests/core/temporary_folder.h"

namespace polygraft {
namespace {

using testing::TemporaryFolder;

/// Pages of files that this process has mapped in, in KiB.
int64_t mapped_kib() {
  const std::string status = read_file("/proc/self/status");
  return std::stoll(status.substr(status.find("RssFile:") + 8));
}

TEST_CASE("released pages leave the process and are read anew", "[core][mapped]") {
  const TemporaryFolder folder;
  std::string content(size_t{32} << 20, '\0');
  for (size_t i = 0; i < content.size(); i += 997) content[i] = static_cast<char>(i % 251);
  write_file_atomically(folder / "data", content);
  const MappedFile file(folder / "data");
  read_ahead(file.text());
  CHECK(file.text() == content);
  const int64_t before = mapped_kib();
  release_pages(file.text().substr(5, file.size() - 9));  // the pages at both ends are others', too
  CHECK(before - mapped_kib() > 30 * 1024);
  CHECK(file.text() == content);
}

TEST_CASE("bytes in memory are left alone", "[core][mapped]") {
  const std::string text(size_t{1} << 20, 'x');
  release_pages(text);
  read_ahead(text);
  CHECK(text == std::string(size_t{1} << 20, 'x'));
  release_pages({});
}

}  // namespace
}  // namespace polygraft
