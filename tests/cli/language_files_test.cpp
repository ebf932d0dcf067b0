// tests/cli/language_files_test.cpp: text files on a command line.
#include "cli/language_files.h"

#include <catch2/catch.hpp>

#include "core/text.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

using Files = std::vector<std::string>;

void check(const std::string& value, const std::string& language, const Files& files) {
  INFO(value);
  const LanguageFiles parsed = parse_language_files(value);
  CHECK(parsed.language == language);
  CHECK(parsed.files == files);
}

}  // namespace

TEST_CASE("files of a language stand behind its name, with commas between them", "[cli]") {
  check("id=a.txt,b.txt", "id", {"a.txt", "b.txt"});
  check("a.txt", "", {"a.txt"});
  check("id=a.txt,,b.txt", "id", {"a.txt", "", "b.txt"});
  check("id=a=b.txt", "id", {"a=b.txt"});
  check("id=", "id", {});
  check("=a.txt", "", {"a.txt"});
  check("", "", {});
}

TEST_CASE("a comma in the name of a file separates nothing", "[cli]") {
  const testing::TemporaryFolder folder;
  const std::string plain = folder.write("plain.txt", "x"), comma = folder.write("a,b,c.txt", "x");
  const std::string equals = folder.write("x=1,2.txt", "x");
  std::filesystem::create_directory(folder / "a");
  check(concat("id=", comma), "id", {comma});
  check(concat("id=", plain, ",", comma, ",", plain), "id", {plain, comma, plain});
  check(concat("id=", comma, ",missing.txt,", plain), "id", {comma, "missing.txt", plain});
  check(comma, "", {comma});
  check(equals, "", {equals});
}

TEST_CASE("a list may be longer than any path", "[cli]") {
  const testing::TemporaryFolder folder;
  const Files files(400, folder.write("plain.txt", "x").string());
  check("id=" + join(files, ","), "id", files);
  const Files missing(400, "missing.txt");
  check("id=" + join(missing, ","), "id", missing);
}
