// tests/trainer/self_text_test.cpp: old text that the base writes: whose words they are, and a run
// that has no other.
#include "trainer/data/self_text.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "eval/generation.h"
#include "tests/trainer/run_files.h"
#include "tests/trainer/tiny_world.h"
#include "trainer/data/training_data.h"

namespace polygraft::trainer {
namespace {

using testing::TemporaryFolder;
using testing::tiny_world;

std::string text_of(const fs::path& model, const SelfTextOptions& options) {
  const TemporaryFolder folder;
  const auto tokenizer = tokenizer::Tokenizer::load(model);
  write_self_text(model::Transformer::load(model::ModelFolder::open(model)), tokenizer,
                  eval::read_end_tokens(model, tokenizer), options, folder / "self.jsonl");
  return read_file(folder / "self.jsonl");
}

TEST_CASE("an expanded model writes its base's text, the same each time", "[trainer][self]") {
  const SelfTextOptions options = {.name = "a", .num_tokens = 400, .document_tokens = 30};
  const std::string written = text_of(tiny_world().expanded, options);
  CHECK(text_of(tiny_world().base, options) == written);
  SelfTextOptions other = options;
  other.name = "b";
  CHECK(text_of(tiny_world().base, other) != written);
  other = options;
  other.seed = 18;
  CHECK(text_of(tiny_world().base, other) != written);
}

TEST_CASE("self-written documents are as long as asked", "[trainer][self]") {
  const auto tokenizer = tokenizer::Tokenizer::load(tiny_world().base);
  const std::string written =
      text_of(tiny_world().base, {.name = "a", .num_tokens = 600, .document_tokens = 30});
  int64_t num_tokens = 0, num_documents = 0;
  for (const std::string& line : split(written, '\n')) {
    if (line.empty()) continue;
    const auto text = parse_json(line, "self")["text"].get<std::string>();
    num_tokens += static_cast<int64_t>(tokenizer.encode(text).size());
    ++num_documents;
  }
  CHECK(num_documents >= 20);
  CHECK(num_documents <= 30);
  CHECK(num_tokens >= 450);  // sampled pieces may be cut into fewer when read again
}

TrainJob job_without_old_text(const fs::path& run) {
  TrainJob job = testing::additions_job(run);
  job.corpus.languages.erase("aa");
  job.corpus.languages.erase("bb");
  job.train.replay.source = "self";
  job.train.replay.self_tokens = 1500;
  return job;
}

TEST_CASE("without old text the base's own is replayed, probed and held to the budget",
          "[trainer][self]") {
  const TemporaryFolder folder;
  const TrainJob job = job_without_old_text(folder / "run");
  CHECK(estimate_training(job).train_tokens_available > job.train.replay.self_tokens);
  const TrainResult result = train(job);
  CHECK(result.within_budget);
  REQUIRE(result.last_probe.size() == 2);
  CHECK(result.last_probe.at(kSelfLanguage).delta_relative != 0);
  double kl = 0;
  for (const Json& line : testing::metrics_of(job.run_dir))
    if (line.contains("kl")) kl += line["kl"].get<double>();
  CHECK(kl > 0);
  const LanguageRoles roles = resolve_roles(with_self_text(job));
  CHECK(roles.replayed == std::vector<std::string>{kSelfLanguage});
  CHECK(roles.guarded == std::vector<std::string>{kSelfLanguage});
}

TEST_CASE("beside old languages the base's text alone is replayed", "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.train.replay.source = "self";
  job.train.replay.self_tokens = 300;
  const TrainJob with_text = with_self_text(job);
  const LanguageRoles roles = resolve_roles(with_text);
  CHECK(roles.replayed == std::vector<std::string>{kSelfLanguage});
  CHECK(roles.guarded == std::vector<std::string>{"aa", "bb", kSelfLanguage});
  const std::string file = with_text.corpus.languages.at(kSelfLanguage).train.front();
  const auto written = fs::last_write_time(file);
  CHECK(with_self_text(job).corpus.languages.at(kSelfLanguage).train.front() == file);
  CHECK(fs::last_write_time(file) == written);
  job.seed = 18;
  CHECK(with_self_text(job).corpus.languages.at(kSelfLanguage).train.front() != file);
}

TEST_CASE("a model from scratch has no base that could write", "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = testing::scratch_job(folder / "run");
  job.train.replay.source = "self";
  CHECK_THROWS_WITH(train(job),
                    Catch::Contains("train.replay.source") && Catch::Contains("from scratch"));
}

}  // namespace
}  // namespace polygraft::trainer
