// tests/trainer/self_text_test.cpp: old text that the base writes: whose words they are, and a run
// that has no other.
#include "trainer/data/self_text.h"

#include <algorithm>
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

TEST_CASE("what a base writes can be read, whatever bytes it likes", "[trainer][self]") {
  const TemporaryFolder folder;
  const auto model = model::ModelFolder::open(tiny_world().base);
  const auto tokenizer = tokenizer::Tokenizer::load(tiny_world().base);
  model::Transformer indifferent(model.config, model::load_weights(model, at::kFloat));
  indifferent.weights().head.base.zero_();  // every token as likely, that of a zero byte, too
  write_self_text(indifferent, tokenizer, {}, {.name = "a", .num_tokens = 4000},
                  folder / "a.jsonl");
  CHECK(tokenizer::read_documents({(folder / "a.jsonl").string()}).size() > 5);
}

/// The documents of text_of() with every second one a chat of this format.
std::vector<std::string> half_chats(const tokenizer::ChatFormat& format) {
  const std::string written = text_of(tiny_world().base, {.name = "a",
                                                          .num_tokens = 1200,
                                                          .document_tokens = 30,
                                                          .chat = format,
                                                          .chat_share = 0.5,
                                                          .system = "be brief"});
  std::vector<std::string> documents;
  for (const std::string& line : split(written, '\n')) {
    if (!line.empty()) documents.push_back(parse_json(line, "self")["text"].get<std::string>());
  }
  return documents;
}

int64_t num_chats(const std::vector<std::string>& documents, const std::string& opening) {
  return std::count_if(documents.begin(), documents.end(),
                       [&](const std::string& text) { return text.starts_with(opening); });
}

TEST_CASE("a chat model writes both turns, as its format has them", "[trainer][self]") {
  const tokenizer::ChatFormat format = {"test",    false,        "<sys> ", " </sys>",
                                        "<user> ", " <answer> ", " <end>"};
  const std::vector<std::string> documents = half_chats(format);
  const std::string opening = "<sys> be brief </sys><user> ";
  const auto count = static_cast<double>(documents.size());
  CHECK(static_cast<double>(num_chats(documents, opening)) / count == Approx(0.5).margin(0.2));
  for (const std::string& text : documents) {
    if (!text.starts_with(opening)) continue;
    const size_t turn = text.find(" <answer> ", opening.size());
    REQUIRE(turn != std::string::npos);
    CHECK(turn > opening.size());
    CHECK(text.size() > turn + std::string(" <answer> ").size());
    CHECK_FALSE(text.ends_with(" <end>"));  // this base never ends a text by itself
  }
}

TEST_CASE("an answer that the base ends is closed as the format closes it", "[trainer][self]") {
  const auto tokenizer = tokenizer::Tokenizer::load(tiny_world().base);
  const std::string end = tokenizer.token_bytes(tokenizer.encode("mun").front());
  REQUIRE(tokenizer.find(end));
  const std::vector<std::string> documents =
      half_chats({"test", false, "<sys> ", " </sys>", "<user> ", " <answer> ", end});
  const int64_t num_closed = std::count_if(
      documents.begin(), documents.end(),
      [&](const std::string& text) { return text.starts_with("<sys>") && text.ends_with(end); });
  CHECK(num_closed > 0);
}

TEST_CASE("a BOS that a chat format writes out is left to the rows", "[trainer][self]") {
  const auto tokenizer = tokenizer::Tokenizer::load(tiny_world().base);
  const std::string bos = tokenizer.token_bytes(tokenizer.prefix_id());
  const tokenizer::ChatFormat format = {"test",        false,      bos + "sys ", bos,
                                        bos + "user ", " answer ", " end"};
  const std::vector<std::string> documents = half_chats(format);
  CHECK(num_chats(documents, bos) == 0);
  CHECK(num_chats(documents, "sys be brief" + bos + bos + "user ") > 5);
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
  CHECK(estimate_training(job).steps > 0);  // before there is any old text
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

TEST_CASE("the base's own text is no language to learn", "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = job_without_old_text(folder / "run");
  job.train.trainable = "all";  // of the corpus' old languages, of which none is left
  job.corpus.languages[kSelfLanguage] = {
      .role = "old", .train = {(tiny_world().folder / "aa.txt").string()}, .heldout = {}};
  CHECK_THROWS_WITH(resolve_roles(job), Catch::Contains("no language to learn"));
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

TEST_CASE("text that the base ended by other tokens, or cut otherwise, is not taken again",
          "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  fs::copy(job.model, folder / "model", fs::copy_options::recursive);
  job.model = folder / "model";
  job.train.replay.source = "self";
  job.train.replay.self_tokens = 300;
  const auto file = [&] {
    return with_self_text(job).corpus.languages.at(kSelfLanguage).train.front();
  };
  const std::string before = file();
  write_json(job.model / "generation_config.json", Json{{"eos_token_id", {0, 5}}});
  const std::string other_end = file();
  CHECK(other_end != before);
  const Json tokenizer = read_json(job.model / "tokenizer.json");
  write_file_atomically(job.model / "tokenizer.json", tokenizer.dump(3));  // other bytes
  CHECK(file() != other_end);
}

TEST_CASE("of corpus and self each is half of what is replayed", "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = testing::additions_job(folder / "run");
  job.train.replay.mix = "text";  // one stream
  const auto tokens_replayed = [](const TrainJob& of) {
    const auto tokenizer = tokenizer::Tokenizer::load(of.model);
    ReplayMix replayed = *prepare_data(of, resolve_roles(of), tokenizer, tokenizer.size()).replayed;
    int64_t tokens = 0;
    while (replayed.to_json()["streams"].front()["position"]["epoch"] == 0) {
      tokens += num_tokens(replayed.take(100));
    }
    return tokens;
  };
  const int64_t from_corpus = tokens_replayed(job);
  for (const double share : {0.05, 0.7, 1.5}) {  // of the corpus's text
    job.train.replay.self_tokens = static_cast<int64_t>(share * static_cast<double>(from_corpus));
    job.train.replay.source = "self";
    const int64_t from_self = tokens_replayed(with_self_text(job));
    job.train.replay.source = "corpus+self";
    const TrainJob with_text = with_self_text(job);
    CHECK(resolve_roles(with_text).replayed == std::vector<std::string>{"aa", "bb", kSelfLanguage});
    CHECK(static_cast<double>(tokens_replayed(with_text)) ==
          Approx(2.0 * static_cast<double>(std::max(from_corpus, from_self))).epsilon(0.05));
  }
}

TEST_CASE("chats need a chat format", "[trainer][self]") {
  const TemporaryFolder folder;
  TrainJob job = job_without_old_text(folder / "run");
  job.train.replay.self_chats = 0.5;
  CHECK_THROWS_WITH(train(job), Catch::Contains("has no chat template"));
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
