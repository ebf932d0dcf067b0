// tests/cli/pipeline_test.cpp: a pipeline's paths, and what its evaluations left, as they are read.
#include "cli/pipeline/pipeline.h"

#include <catch2/catch.hpp>

#include "core/file.h"
#include "eval/choice.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

/// Two questions of one passage, of which one is answered right, in a result folder of its own.
void write_choices(const fs::path& folder) {
  eval::ChoiceTask task;
  for (const int64_t gold : {0, 1}) {
    eval::ChoiceItem item{.id = concat("q", gold), .language = "aa", .context = "x", .gold = gold};
    item.choices = {" y", " z"};
    item.json = {{"id", item.id}, {"passage", "p"}};
    task.items.push_back(item);
    task.scores.push_back({{{1, 1, 2, 2}, {2, 1, 2, 2}}});
  }
  eval::ChoiceResult result{"model", "hash", OrderedJson::object(), {}};
  result.tasks["quiz_aa"] = task;
  eval::write_choice_result(result, folder);
}

void write_bits(const fs::path& folder) {
  eval::BpbResult result{.model_path = "model", .model_hash = "hash"};
  result.languages["aa"] = {
      {.id = "a", .text_hash = "1", .num_bytes = 10, .num_tokens = 5, .nats = 9}};
  eval::write_bpb_result(result, folder);
}

}  // namespace

TEST_CASE("gate.document_field says what a run's answers share", "[cli]") {
  const testing::TemporaryFolder folder;
  write_bits(folder.path());
  write_choices(folder.path() / "choice");
  for (const bool named : {false, true}) {
    const eval::GateConfig gate{.document_field = named ? "passage" : "document"};
    const eval::ResultFolder read = eval::read_result_folder(folder.path(), gate.document_field);
    CHECK(read.tasks.size() == 2);
    CHECK(read.files.size() == 2);  // both are named in the report
    const auto& samples = read.tasks.at({"quiz_aa", "none"}).samples;
    REQUIRE(samples.size() == 2);
    CHECK((samples[0].document == samples[1].document) == named);
  }
}

TEST_CASE("paths of a pipeline end in a name", "[cli]") {
  const testing::TemporaryFolder folder;
  create_folders(folder.path() / "base");
  write_file_atomically(folder.path() / "base" / "config.json", "{}");  // a shape alone
  for (const std::string file : {"aa", "bb"}) write_file_atomically(folder.path() / file, "text");
  const auto resolved = resolve_pipeline(
      ConfigSource::from_text("version: 1\nrun_dir: run/\nbase: ./base//\nlanguages:\n"
                              "  aa: {role: new, train: [aa]}\n  bb: {role: old, train: [bb]}\n"
                              "train: {tokens: 1000, optimizer: {learning_rate: 1.0e-3}}\n",
                              "pipeline.yaml"),
      folder.path());
  CHECK(resolved.config.base == folder.path() / "base");
  CHECK(resolved.config.run_dir == folder.path() / "run");
  CHECK(fs::path(resolved.config.base).filename() == "base");
}
