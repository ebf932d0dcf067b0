// tests/cli/repeated_text_test.cpp: documents that are measured or protected, and trained on as
// well.
#include "cli/pipeline/repeated_text.h"

#include <catch2/catch.hpp>

#include "core/file.h"
#include "core/text.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// Documents `first` to `end` of a language, one a line.
std::string write_documents(const fs::path& file, const std::string& language, int first, int end) {
  std::string lines;
  for (int i = first; i < end; ++i) lines += concat(language, " ", i, "\n");
  write_file_atomically(file, lines);
  return file.string();
}

tokenizer::Corpus corpus_in(const fs::path& folder) {
  tokenizer::Corpus corpus;
  for (const std::string language : {"de", "id"}) {
    corpus.languages[language] = {
        .role = language == "id" ? "new" : "old",
        .train = {write_documents(folder / (language + ".train.txt"), language, 0, 200)},
        .heldout = {write_documents(folder / (language + ".heldout.txt"), language, 200, 300)}};
  }
  return corpus;
}

}  // namespace

TEST_CASE("text that is measured or protected is none that is learned", "[cli]") {
  const testing::TemporaryFolder folder;
  tokenizer::Corpus corpus = corpus_in(folder.path());
  CHECK(find_repeated_text(corpus).empty());
  SECTION("a held-out file under another name") {
    corpus.languages["id"].heldout = {write_documents(folder / "copy.txt", "id", 100, 200)};
    const auto found = find_repeated_text(corpus);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0], Catch::StartsWith("100 of 100 held-out documents of id are training text "
                                           "of id"));
  }
  SECTION("a held-out text that another language trains on") {
    corpus.languages["id"].heldout.push_back(write_documents(folder / "de.txt", "de", 10, 30));
    const auto found = find_repeated_text(corpus);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0], Catch::StartsWith("20 of 120 held-out documents of id are training text "
                                           "of de"));
  }
  SECTION("the new language's text among the old") {
    corpus.languages["de"].train.push_back(write_documents(folder / "id.txt", "id", 0, 50));
    const auto found = find_repeated_text(corpus);
    REQUIRE(found.size() == 1);
    CHECK_THAT(found[0],
               Catch::StartsWith("50 of 200 training documents of id are training text of de"));
  }
  SECTION("few documents, as happens") {
    corpus.languages["id"].heldout.push_back(write_documents(folder / "few.txt", "id", 0, 5));
    CHECK(find_repeated_text(corpus).empty());
  }
  SECTION("text that is not written yet") {
    corpus.languages["self"] = {.role = "old",
                                .train = {(folder / "train.jsonl").string()},
                                .heldout = {(folder / "heldout.jsonl").string()}};
    CHECK(find_repeated_text(corpus).empty());
  }
}
