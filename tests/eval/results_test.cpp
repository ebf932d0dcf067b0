// tests/eval/results_test.cpp: result folders, ours and lm-evaluation-harness's own
// (fixtures/lm_eval), whole and broken.
#include "eval/results.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/roles.h"
#include "tests/eval/fixture.h"

namespace polygraft::eval {
namespace {

BpbResult small_result() {
  BpbResult result;
  result.model_path = "models/base";
  result.model_hash = sha256("weights");
  result.config["batch_tokens"] = 4096;
  result.roles = {{"de", "old"}, {"pt-BR", "new"}};
  result.languages["de"] = {{"de.txt:1", sha256("eins"), 4, 2, 3.25},
                            {"de.txt:2", sha256("zwei"), 5, 3, 0.1}};
  result.languages["pt-BR"] = {{"a \"quoted\" id", sha256("um"), 2, 1, 1.0 / 3.0}};
  return result;
}

fs::path only_file(const fs::path& folder, const std::string& start) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(start)) return entry.path();
  }
  throw IoError(folder, "no file " + start);
}

/// What reading `folder` says, or "" when it reads.
std::string reading_error(const fs::path& folder) {
  try {
    read_result_folder(folder);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// Replaces the samples of German in a fresh copy of our own results, and returns what reading
/// says.
std::string error_for_samples(const std::function<std::string(std::string)>& edit) {
  const TemporaryFolder temporary;
  write_bpb_result(small_result(), temporary.path() / "run");
  const fs::path file = only_file(temporary.path() / "run", "samples_bpb_de_");
  write_file_atomically(file, edit(read_file(file)));
  return reading_error(temporary.path() / "run");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("what is written reads back to the last bit", "[eval][results]") {
  const TemporaryFolder temporary;
  const BpbResult result = small_result();
  write_bpb_result(result, temporary.path() / "run");
  const ResultFolder read = read_result_folder(temporary.path() / "run");
  REQUIRE(read.tasks.size() == 2);
  const auto& german = read.tasks.at({"bpb_de", "none"}).samples;
  REQUIRE(german.size() == 2);
  CHECK(german[1].doc_id == "1");
  CHECK(german[1].line == 2);
  const auto value = [&](const char* task, size_t sample, const char* metric) {
    const TaskSamples& samples = read.tasks.at({task, "none"});
    return samples.samples[sample].values.at(static_cast<size_t>(samples.metric_index(metric)));
  };
  CHECK(value("bpb_de", 1, "nats") == 0.1);
  CHECK(value("bpb_de", 1, "num_bytes") == 5);
  CHECK(german[1].target_hash == fingerprint(sha256("zwei")));
  CHECK(value("bpb_pt-BR", 0, "nats") == 1.0 / 3.0);
}

TEST_CASE("the results file has the keys and the numbers of lm-eval's", "[eval][results]") {
  const TemporaryFolder temporary;
  write_bpb_result(small_result(), temporary.path());  // an empty folder may exist
  const Json ours = read_json(only_file(temporary.path(), "results_"));
  const Json theirs = read_json(only_file(fixture_path("lm_eval/baseline/model0"), "results_"));
  for (const char* key : {"results", "group_subtasks", "configs", "versions", "n-shot",
                          "higher_is_better", "n-samples", "config", "date", "task_hashes",
                          "model_source", "model_name", "model_name_sanitized"}) {
    INFO(key);
    REQUIRE(theirs.contains(key));
    REQUIRE(ours.contains(key));
    CHECK(ours[key].type_name() == std::string(theirs[key].type_name()));
  }
  for (const auto& [key, unused] : theirs["results"]["bpb_de"].items()) {
    INFO(key);
    CHECK(ours["results"]["bpb_de"].contains(key));
  }
  CHECK(ours["results"]["bpb_de"]["bits_per_byte,none"] == Approx(3.35 / M_LN2 / 9));
  CHECK(ours["results"]["bpb_de"]["byte_perplexity,none"] == Approx(std::exp(3.35 / 9)));
  CHECK(ours["polygraft"]["config"]["batch_tokens"] == 4096);
  CHECK(ours["polygraft"]["languages"]["de"]["num_tokens"] == 5);
  CHECK(stated_roles(read_ordered_json(only_file(temporary.path(), "results_"))) ==
        small_result().roles);
}

TEST_CASE("a sample line has every key of lm-eval's, and its hashes of the text",
          "[eval][results]") {
  const TemporaryFolder temporary;
  write_bpb_result(small_result(), temporary.path());
  const auto first_line = [](const fs::path& file) {
    return parse_json(split(read_file(file), '\n').front(), file);
  };
  const Json ours = first_line(only_file(temporary.path(), "samples_bpb_de_"));
  const Json theirs =
      first_line(only_file(fixture_path("lm_eval/baseline/model0"), "samples_bpb_de_"));
  for (const auto& [key, value] : theirs.items()) {
    INFO(key);
    REQUIRE(ours.contains(key));
    CHECK(ours[key].type_name() == std::string(value.type_name()));
  }
  CHECK(theirs["target_hash"] == sha256("Guten Tag."));
  CHECK(theirs["prompt_hash"] == sha256("Guten Tag."));
}

TEST_CASE("lm-eval's folders are read as they are, from the folder above too", "[eval][results]") {
  const ResultFolder read = read_result_folder(fixture_path("lm_eval/baseline"));
  CHECK(read.path.filename() == "model0");
  const auto total = [&](const char* task, const char* metric) {
    const TaskSamples& samples = read.tasks.at({task, "none"});
    const auto index = static_cast<size_t>(samples.metric_index(metric));
    double sum = 0;
    for (const Sample& sample : samples.samples) sum += sample.values.at(index);
    return sum;
  };
  const Json results = read.results["results"];
  REQUIRE(read.tasks.at({"bpb_de", "none"}).samples.size() == 7);
  CHECK(total("bpb_de", "nats") / M_LN2 / total("bpb_de", "num_bytes") ==
        Approx(results["bpb_de"]["bits_per_byte,none"].get<double>()).epsilon(1e-12));
  CHECK(total("qa_en", "acc") / 6 == Approx(results["qa_en"]["acc,none"].get<double>()));
}

TEST_CASE("broken samples are named by file and line", "[eval][results]") {
  const std::string cut =
      error_for_samples([](std::string text) { return text.substr(0, text.size() - 30); });
  CHECK_THAT(cut, Catch::Contains("samples_bpb_de_") && Catch::Contains(".jsonl:2"));
  const std::string nan = error_for_samples(
      [](std::string text) { return replaced(text, "\"nats\":3.25", "\"nats\": NaN"); });
  CHECK_THAT(nan, Catch::Contains(".jsonl:1") && Catch::Contains("not finite"));
  const std::string null = error_for_samples([](std::string text) {
    return replaced(text, "\"bits_per_byte\":[-3.25,4]", "\"bits_per_byte\":null");
  });
  CHECK_THAT(null, Catch::Contains(".jsonl:1") && Catch::Contains("bits_per_byte"));
  const std::string twice = error_for_samples(
      [](std::string text) { return replaced(text, "\"doc_id\":1", "\"doc_id\":0"); });
  CHECK_THAT(twice, Catch::Contains(".jsonl:2") && Catch::Contains("twice"));
  const std::string no_bytes = error_for_samples([](std::string text) {
    return replaced(text, "\"bits_per_byte\":[-3.25,4]", "\"bits_per_byte\":[-3.25,0]");
  });
  CHECK_THAT(no_bytes, Catch::Contains(".jsonl:1") && Catch::Contains("no bytes"));
  const std::string short_by_a_line =
      error_for_samples([](std::string text) { return text.substr(0, text.find('\n') + 1); });
  CHECK_THAT(short_by_a_line, Catch::Contains("end too early") && Catch::Contains("2 documents"));
  CHECK_THAT(error_for_samples([](const std::string&) { return "[1, 2]\n"; }),
             Catch::Contains(".jsonl:1"));
  CHECK_THAT(error_for_samples([](const std::string&) { return "{}\n"; }),
             Catch::Contains("doc_id"));
}

TEST_CASE("every broken sample is an exit 4, and a block of lines ends anywhere",
          "[eval][results]") {
  const TemporaryFolder temporary;
  const auto write = [&](const std::string& lines) {
    write_file_atomically(temporary.path() / "results_2026-01-01T00-00-00.json",
                          R"({"results": {"t_de": {"alias": "t_de"}}})");
    write_file_atomically(temporary.path() / "samples_t_de_2026-01-01T00-00-00.jsonl", lines);
  };
  // Lines of 100 KB: the blocks of 4 MiB cut them; ids count down, and two filters share them.
  std::string lines;
  for (int id = 99; id >= 0; --id) {
    for (const char* filter : {"strict", "flexible"}) {
      lines += concat(R"({"doc_id": )", id, R"(, "doc": {"text": ")", std::string(100000, 'x'),
                      R"(", "document": "page )", id / 2, R"("}, "filter": ")", filter,
                      R"(", "metrics": ["exact_match"], "exact_match": )", id, "}\n");
    }
  }
  write(lines);
  const ResultFolder read = read_result_folder(temporary.path());
  REQUIRE(read.tasks.size() == 2);
  const auto& samples = read.tasks.at({"t_de", "strict"}).samples;
  REQUIRE(samples.size() == 100);
  for (size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i].doc_id == concat(i));
    CHECK(samples[i].line == 199 - 2 * i);
    CHECK(samples[i].values == std::vector<double>{static_cast<double>(i)});
    CHECK(samples[i].document == samples[i - i % 2].document);
  }
  CHECK(samples[1].document != samples[2].document);
  write(lines.substr(0, lines.size() - 4));
  try {
    read_result_folder(temporary.path());
    FAIL("a cut file was read");
  } catch (const Error& error) {
    CHECK(error.exit_code() == ExitCode::kNotComparable);
    CHECK_THAT(error.what(), Catch::Contains(".jsonl:200"));
  }
}

TEST_CASE("blank lines and a byte order mark are no samples, and have numbers", "[eval][results]") {
  const auto edit = [](const std::string& text) {
    const size_t line = text.find('\n') + 1;
    return concat("\xEF\xBB\xBF", text.substr(0, line), " \n", text.substr(line), "\n \t\n");
  };
  CHECK(error_for_samples(edit).empty());
  CHECK_THAT(error_for_samples([&](const std::string& text) { return edit(text) + "{\n"; }),
             Catch::Contains(".jsonl:6"));
}

TEST_CASE("a model's path that is no UTF-8 is written as JSON can hold it", "[eval][results]") {
  const TemporaryFolder temporary;
  BpbResult result = small_result();
  result.model_path = "models/base\xFF";
  write_bpb_result(result, temporary / "run");
  CHECK(read_result_folder(temporary / "run").results["model_name"] == "models/base\xEF\xBF\xBD");
}

TEST_CASE("every name that cannot be a file's is told at once", "[eval][results]") {
  const TemporaryFolder temporary;
  BpbResult result = small_result();
  const auto scores = result.languages.begin()->second;
  for (const char* name : {"", "a/b", "quiz\xFF"}) result.languages[name] = scores;
  CHECK_THROWS_WITH(write_bpb_result(result, temporary / "run"),
                    Catch::Contains("3 problems") && Catch::Contains("''") &&
                        Catch::Contains("'a/b'") && Catch::Contains("'quiz") &&
                        Catch::Contains("UTF-8"));
}

TEST_CASE("hashes and ids keep what tells them apart", "[eval][results]") {
  CHECK(fingerprint(sha256("a")) == 0xca978112ca1bbdcaU);
  CHECK(fingerprint("") == 0);
  CHECK(name_fingerprint("1700000000123456001") != name_fingerprint("1700000000123456002"));
  CHECK(name_fingerprint("00000000000000000007") != 0);
  CHECK(fingerprint("no hexadecimal") != fingerprint("no hexadecimals"));
  CHECK(doc_id_less("9", "10"));
  CHECK(doc_id_less("10", "a"));
  CHECK(doc_id_less("a10", "a9"));
  CHECK_FALSE(doc_id_less("7", "7"));
}

TEST_CASE("a folder without results, or with several models', is not comparable",
          "[eval][results]") {
  const TemporaryFolder temporary;
  CHECK_THROWS_AS(read_result_folder(temporary.path() / "absent"), IoError);
  CHECK_THROWS_AS(read_result_folder(temporary.path()), NotComparable);
  write_bpb_result(small_result(), temporary.path() / "one");
  write_bpb_result(small_result(), temporary.path() / "two");
  CHECK_THAT(reading_error(temporary.path()), Catch::Contains("one") && Catch::Contains("two"));
  fs::remove(only_file(temporary.path() / "one", "samples_bpb_de_"));
  CHECK_THROWS_AS(read_result_folder(temporary.path() / "one"), NotComparable);
}

/// Two evaluations in one folder: German with other scores, Portuguese and French; then German and
/// Portuguese.
void write_two_evaluations(const TemporaryFolder& temporary,
                           const std::function<void(BpbResult&)>& edit_older = {}) {
  BpbResult older = small_result(), newer = small_result();
  older.languages["fr"] = older.languages["de"];
  older.languages["de"][0].nats = 99;
  older.roles["fr"] = "new";
  if (edit_older) edit_older(older);
  write_bpb_result(older, temporary / "run");
  write_bpb_result(newer, temporary / "newer");
  for (const auto& entry : fs::directory_iterator(temporary / "newer"))
    fs::copy(entry.path(), temporary / "run");
}

TEST_CASE("of several evaluations in a folder, each task counts where it was measured last",
          "[eval][results]") {
  const TemporaryFolder temporary;
  write_two_evaluations(temporary);
  const ResultFolder read = read_result_folder(temporary / "run");
  REQUIRE(read.files.size() == 2);
  CHECK(read.files[0].num_tasks == 2);
  CHECK(read.files[1].num_tasks == 1);
  CHECK(read.tasks.size() == 3);
  CHECK(read.tasks.at({"bpb_de", "none"}).samples[0].values.at(0) == 3.25);
  CHECK(read.tasks.at({"bpb_fr", "none"}).samples[0].values.at(0) == 3.25);
  CHECK(read.results["results"].size() == 3);
  CHECK(read.results["versions"].contains("bpb_fr"));
  CHECK(stated_roles(read.results) ==
        std::map<std::string, std::string>{{"de", "old"}, {"fr", "new"}, {"pt-BR", "new"}});
  CHECK(read.unread.empty());
  const ResultFolder one = read_result_folder(only_file(temporary / "newer", "results_"));
  CHECK(one.tasks.size() == 2);
}

TEST_CASE("results of another model in a folder are refused, unless nothing of them counts",
          "[eval][results]") {
  const TemporaryFolder mixed, covered;
  const auto retrain = [](BpbResult& result) { result.model_hash = sha256("other weights"); };
  write_two_evaluations(mixed, retrain);
  CHECK_THAT(reading_error(mixed / "run"),
             Catch::Contains("another model") && Catch::Contains(sha256("other weights")));
  write_two_evaluations(covered, [&](BpbResult& result) {
    retrain(result);
    result.languages.erase("fr");
  });
  CHECK(read_result_folder(covered / "run").files.size() == 1);
}

TEST_CASE("a stage of a run is read with its choices, and without what the gate does not look at",
          "[eval][results]") {
  const TemporaryFolder stage;
  const auto write = [&](const std::string& folder, const std::string& language,
                         const std::string& model) {
    BpbResult result = small_result();
    result.model_hash = sha256(model);
    result.languages = {{language, result.languages.begin()->second}};
    write_bpb_result(result, stage / folder);
  };
  write("evaluate", "de", "weights");
  write("evaluate/behind", "fr", "weights");
  write("evaluate/choice", "it", "weights");
  const ResultFolder read = read_result_folder(stage / "evaluate");
  CHECK(read.unread.empty());
  CHECK(read.tasks.size() == 2);
  CHECK(read.tasks.contains({"bpb_it", "none"}));
  CHECK(read.results["results"].size() == 2);
  fs::remove_all(stage / "evaluate" / "choice");
  write("evaluate/choice", "it", "other weights");
  CHECK_THAT(reading_error(stage / "evaluate"), Catch::Contains("another model"));
}

TEST_CASE("samples that no results file names are told", "[eval][results]") {
  const TemporaryFolder temporary;
  write_two_evaluations(temporary);
  temporary.write("run/samples_bpb_it_2026-01-01T00-00-00.jsonl", "");
  write_bpb_result(small_result(), temporary / "run" / "deeper");
  const ResultFolder read = read_result_folder(temporary / "run");
  REQUIRE(read.unread.size() == 4);
  CHECK(read.unread[0].filename() == "samples_bpb_it_2026-01-01T00-00-00.jsonl");
  CHECK(read.unread[1].parent_path().filename() == "deeper");
  CHECK(read_result_folder(read.files[0].path).unread.empty());
}

TEST_CASE("a folder of results, or its newest file, may be linked beside itself",
          "[eval][results]") {
  const TemporaryFolder temporary;
  write_bpb_result(small_result(), temporary / "models__base");
  fs::create_directory_symlink("models__base", temporary / "latest");
  fs::create_symlink(only_file(temporary / "models__base", "results_").filename(),
                     temporary / "models__base" / "results_latest.json");
  CHECK(read_result_folder(temporary.path()).path.filename() == "models__base");
}

TEST_CASE("a task's name cannot lead out of its folder", "[eval][results]") {
  const TemporaryFolder temporary;
  write_file_atomically(temporary.path() / "results_2026-01-01T00-00-00.json",
                        R"({"results": {"../../secret": {"alias": "x"}}})");
  CHECK_THAT(reading_error(temporary.path()), Catch::Contains("out of the folder"));
}

TEST_CASE("what must not be written is refused before anything is", "[eval][results]") {
  const TemporaryFolder temporary;
  const fs::path folder = temporary.path() / "run";
  BpbResult bad_name = small_result();
  bad_name.languages["../up"] = bad_name.languages["de"];
  CHECK_THROWS_AS(write_bpb_result(bad_name, folder), ConfigError);
  BpbResult no_documents = small_result();
  no_documents.languages["fr"] = {};
  CHECK_THROWS_AS(write_bpb_result(no_documents, folder), ConfigError);
  BpbResult not_finite = small_result();
  not_finite.languages["de"][1].nats = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(write_bpb_result(not_finite, folder), Catch::Contains("de.txt:2"));
  CHECK_FALSE(fs::exists(folder));
  write_bpb_result(small_result(), folder);
  CHECK_THROWS_AS(write_bpb_result(small_result(), folder), ConfigError);  // in use
}

}  // namespace polygraft::eval
