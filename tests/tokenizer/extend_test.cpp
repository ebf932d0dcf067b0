// tests/tokenizer/extend_test.cpp: continued BPE, and that guarded text keeps its ids.
#include <catch2/catch.hpp>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/parallel.h"
#include "extension_setting.h"
#include "sample_tokenizer.h"
#include "tokenizer/bpe_trainer.h"
#include "tokenizer/corpus.h"
#include "tokenizer/extend_guard.h"
#include "tokenizer/guard_budget.h"
#include "tokenizer/script_boundary.h"

namespace polygraft::tokenizer {

TEST_CASE("guarded text keeps its ids, and new text gets shorter", "[tokenizer][property]") {
  const ExtensionSetting setting;
  const ExtendReport report = setting.extend(60);
  CHECK(report.merges_added == 60);
  CHECK(report.tokens.size() == 60);
  CHECK(report.unreachable == 0);
  CHECK(report.guard_rejected_total > 0);
  CHECK(report.languages.at("nw").tokens_after < report.languages.at("nw").tokens_before);
  CHECK(report.languages.at("nw").changed_documents > 0);
  const Tokenizer old = Tokenizer::load(setting.source), grown = Tokenizer::load(setting.target);
  CHECK(grown.size() == old.size() + 60);
  int64_t documents = 0;
  for (const Document& document : read_documents({setting.old_text, setting.other_old_text})) {
    REQUIRE(old.encode(document.text) == grown.encode(document.text));
    ++documents;
  }
  CHECK(documents == report.languages.at("o1").documents + report.languages.at("o2").documents);
}

TEST_CASE("without the guard the same merges do change old text", "[tokenizer]") {
  const ExtensionSetting setting;  // the test above could not fail if this did not hold
  setting.extend(60, /*guarded=*/false);
  const Tokenizer old = Tokenizer::load(setting.source), grown = Tokenizer::load(setting.target);
  int64_t changed = 0;
  for (const Document& document : read_documents({setting.old_text})) {
    changed += old.encode(document.text) != grown.encode(document.text) ? 1 : 0;
  }
  CHECK(changed > 0);
}

TEST_CASE("each new token says what it is made of", "[tokenizer]") {
  const ExtensionSetting setting;
  const ExtendReport report = setting.extend(40);
  const Tokenizer old = Tokenizer::load(setting.source), grown = Tokenizer::load(setting.target);
  TokenId expected = static_cast<TokenId>(old.size());
  std::set<std::string> texts;
  for (const NewToken& token : report.tokens) {
    CHECK(token.id == expected++);
    CHECK(grown.token(token.id) == grown.token(token.left) + grown.token(token.right));
    CHECK(texts.insert(grown.token(token.id)).second);
    CHECK_FALSE(old.find(grown.token(token.id)).has_value());
    std::string bytes;
    for (const TokenId id : token.old_tokens) {
      CHECK(id < old.size());
      bytes += old.token_bytes(id);
    }
    CHECK(bytes == grown.token_bytes(token.id));
    CHECK(token.old_tokens == old.encode(bytes));
    CHECK(grown.encode(bytes) == std::vector<TokenId>{token.id});
  }
}

TEST_CASE("an extension is repeatable, and keeps the rest of the file", "[tokenizer]") {
  const ExtensionSetting setting;
  setting.extend(30);
  const std::string first = read_file(setting.target / "tokenizer.json");
  setting.extend(30);
  CHECK(read_file(setting.target / "tokenizer.json") == first);
  Json before = read_json(setting.source / "tokenizer.json");
  Json after = read_json(setting.target / "tokenizer.json");
  CHECK(after["model"]["vocab"].size() == before["model"]["vocab"].size() + 30);
  CHECK(after["model"]["merges"].size() == before["model"]["merges"].size() + 30);
  for (size_t i = 0; i < before["model"]["merges"].size(); ++i) {
    REQUIRE(after["model"]["merges"][i] == before["model"]["merges"][i]);
  }
  before["model"].erase("vocab"), before["model"].erase("merges");
  after["model"].erase("vocab"), after["model"].erase("merges");
  CHECK(before == after);
  CHECK(read_file(setting.target / "tokenizer_config.json") ==
        read_file(setting.source / "tokenizer_config.json"));
}

TEST_CASE("added tokens outside the model keep their ids", "[tokenizer]") {
  const ExtensionSetting setting;
  Json json = read_json(setting.source / "tokenizer.json");
  json["added_tokens"].push_back(added_token_json(330, "<|im_start|>"));
  json["added_tokens"].push_back(added_token_json(331, "<|im_end|>"));
  write_json(setting.source / "tokenizer.json", json);
  const ExtendReport report = setting.extend(20);
  CHECK(report.tokens.front().id == 332);
  const Tokenizer grown = Tokenizer::load(setting.target);
  CHECK(grown.find("<|im_end|>") == 331);
  CHECK(grown.size() == 352);
  // Only so does the reference, which renumbers added tokens that the model lacks, keep them too.
  CHECK(read_json(setting.target / "tokenizer.json")["model"]["vocab"]["<|im_end|>"] == 331);
}

TEST_CASE("with ignore_merges whole words of guarded text do not become tokens", "[tokenizer]") {
  const ExtensionSetting setting;
  Json json = read_json(setting.source / "tokenizer.json");
  json["model"]["ignore_merges"] = true;
  write_json(setting.source / "tokenizer.json", json);
  const ExtendReport report = setting.extend(60);  // would throw if a guard document changed
  CHECK(report.languages.at("o1").changed_documents == 0);
  CHECK(report.unreachable == 0);

  // "abc" is cut into "a" and "bc", which the guard has as neighbours; "xy" it has not.
  const TemporaryFolder folder;
  const Tokenizer tokenizer = load_json([] {
    Json sample = sample_json({"b c"});
    sample["model"]["ignore_merges"] = true;
    return sample;
  }());
  MergeLearner learner;
  learner.add_word(tokenizer.encode("abc"), 5);
  learner.add_word(tokenizer.encode("xyz"), 5);
  const ExtendGuard guard(tokenizer, {{"old", {folder.write("old.txt", "abc\n")}}}, learner, 2);
  CHECK(guard.forbids('a', 256));
  CHECK_FALSE(guard.forbids('x', 'y'));
}

TEST_CASE("the guard looks only for pairs that could be merged", "[tokenizer]") {
  const TemporaryFolder folder;
  const Tokenizer tokenizer = load_json(sample_json());
  MergeLearner learner;
  learner.add_word(tokenizer.encode("ab"), 5);
  learner.add_word(tokenizer.encode("cd"), 1);
  const ExtendGuard guard(tokenizer, {{"old", {folder.write("old.txt", "ab cd ef\n")}}}, learner,
                          2);
  CHECK(guard.forbids('a', 'b'));
  CHECK(guard.pairs().watches('a', 'b'));
  CHECK_FALSE(guard.pairs().watches('c', 'd'));
  CHECK_FALSE(guard.pairs().watches('e', 'f'));
}

TEST_CASE("what an extension takes does not depend on the number of threads",
          "[tokenizer][property]") {
  const ExtensionSetting setting;
  std::vector<std::string> files, reports;
  for (const int num_threads : {1, 2, 5}) {
    set_default_num_threads(num_threads);
    reports.push_back(setting.extend(60).to_json().dump());
    files.push_back(read_file(setting.target / "tokenizer.json"));
  }
  set_default_num_threads(0);
  CHECK(files[1] == files[0]);
  CHECK(files[2] == files[0]);
  CHECK(reports[1] == reports[0]);
  CHECK(reports[2] == reports[0]);
}

TEST_CASE("a folder with two kinds of tokenizer is not extended", "[tokenizer]") {
  const ExtensionSetting setting;
  setting.folder.write("source/tokenizer.model", "x");
  const auto message = message_of<NotBuiltError>([&] { setting.extend(5); });
  INFO(message);
  CHECK(message.find("not both") != std::string::npos);
  CHECK_FALSE(fs::exists(setting.target));
}

TEST_CASE("vocab.json and merges.txt grow along", "[tokenizer]") {
  const ExtensionSetting setting;
  const Json json = read_json(setting.source / "tokenizer.json");
  setting.folder.write("source/vocab.json", json["model"]["vocab"].dump());
  setting.folder.write("source/merges.txt", "#version: 0.2\nĠ a");
  setting.extend(10);
  const Json grown = read_json(setting.target / "tokenizer.json");
  CHECK(read_json(setting.target / "vocab.json") == grown["model"]["vocab"]);
  const Json last = grown["model"]["merges"].back();
  const std::string merges = read_file(setting.target / "merges.txt");
  CHECK(merges.starts_with("#version: 0.2\nĠ a\n"));
  CHECK(merges.ends_with(last[0].get<std::string>() + " " + last[1].get<std::string>() + "\n"));
}

TEST_CASE("the report has the keys that others read", "[tokenizer]") {
  const ExtensionSetting setting;
  const Json report = setting.extend(5).to_json();
  CHECK(report["added"] == 5);
  CHECK(report["merges_added"] == 5);
  CHECK(report["unreachable"] == 0);
  CHECK(report["guard_rejected"].is_number_integer());
  const Json& language = report["languages"]["nw"];
  CHECK(language["bytes_per_token_after"].get<double>() >
        language["bytes_per_token_before"].get<double>());
  CHECK(language["changed_documents"].get<int64_t>() <= language["documents"].get<int64_t>());
  CHECK(report["languages"]["o1"]["changed_documents"] == 0);
}

TEST_CASE("a rejected pair is listed with the guard text that has it", "[tokenizer]") {
  const ExtensionSetting setting;
  const ExtendReport report = setting.extend(60);
  const Tokenizer old = Tokenizer::load(setting.source);
  std::map<std::string, std::vector<std::string>> lines;
  for (const auto& [code, file] :
       {std::pair{"o1", setting.old_text}, {"o2", setting.other_old_text}}) {
    for (const Document& document : read_documents({file})) lines[code].push_back(document.text);
  }
  REQUIRE(report.guard_rejected.size() == static_cast<size_t>(report.guard_rejected_total));
  for (const GuardRejection& rejection : report.guard_rejected) {
    const size_t colon = rejection.document.rfind(':');
    const size_t line = std::stoul(rejection.document.substr(colon + 1));
    const std::string& text = lines.at(rejection.language).at(line - 1);
    const auto ids = old.encode(text);
    bool adjacent = false;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      adjacent = adjacent || (ids[i] == rejection.left && ids[i + 1] == rejection.right);
    }
    CHECK(adjacent);
    CHECK(text.find(rejection.text) != std::string::npos);
    CHECK(rejection.text.find(old.token_bytes(rejection.left) + old.token_bytes(rejection.right)) !=
          std::string::npos);
    CHECK(rejection.count >= 2);
  }
  const Json listed = report.to_json()["guard_rejected_pairs"];
  CHECK(listed.size() == report.guard_rejected.size());
  CHECK(listed[0]["document"] == report.guard_rejected[0].document);
}

TEST_CASE("a guard budget is kept in every language, and its count is exact",
          "[tokenizer][property]") {
  const ExtensionSetting setting;
  const auto guard = std::map<std::string, std::vector<fs::path>>{{"o1", {setting.old_text}},
                                                                  {"o2", {setting.other_old_text}}};
  int64_t admitted_before = 0;
  for (const double share : {0.02, 0.1, 0.5}) {
    const ExtendReport report =
        extend_tokenizer(setting.source, {{"nw", {setting.new_text}}}, guard,
                         {.new_tokens = 60, .guard_max_changed = share}, setting.target);
    int64_t changed = 0;
    for (const char* code : {"o1", "o2"}) {
      const LanguageSegmentation& language = report.languages.at(code);
      CHECK(language.changed_documents <= changes_allowed(share, language.documents));
      changed += language.changed_documents;
    }
    CHECK((changed > 0) == (report.guard_admitted > 0));
    CHECK(report.guard_admitted >= admitted_before);
    admitted_before = report.guard_admitted;
    CHECK(report.unreachable == 0);
  }
  CHECK(admitted_before > 0);
}

TEST_CASE("the budget counts the documents that change, no more and no fewer", "[tokenizer]") {
  const TemporaryFolder folder;
  const Tokenizer old = load_json(sample_json());
  // Pairs: "ab" in two documents of four, "cd" in two, one of them the same.
  const auto file = folder.write("old.txt", "ab\nab cd\ncd\nx\n");
  GuardedPairs pairs;
  pairs.watch('a', 'b');
  pairs.watch('c', 'd');
  GuardBudget budget(old, {{"o", {file}}}, pairs, 0.75);
  CHECK(budget.num_changed("o") == 0);
  CHECK(budget.admit('a', 'b'));
  CHECK(budget.num_changed("o") == 2);
  CHECK(budget.admit('c', 'd'));
  CHECK(budget.num_changed("o") == 3);
  CHECK(budget.admit('a', 'b'));  // they have changed already
  CHECK(budget.num_changed("o") == 3);

  GuardBudget half(old, {{"o", {file}}}, pairs, 0.5);
  CHECK(half.admit('a', 'b'));
  CHECK_FALSE(half.admit('c', 'd'));
  CHECK(half.num_changed("o") == 2);
  GuardBudget quarter(old, {{"o", {file}}}, pairs, 0.25);
  CHECK_FALSE(quarter.admit('a', 'b'));
  CHECK(changes_allowed(0.29, 100) == 29);
  CHECK(changes_allowed(0.001, 999) == 0);
}

TEST_CASE("auto stops where the next merge saves too little", "[tokenizer]") {
  const ExtensionSetting setting;
  const Tokenizer old = Tokenizer::load(setting.source);
  int64_t tokens = 0;
  for (const Document& document : read_documents({setting.new_text})) {
    tokens += static_cast<int64_t>(old.encode(document.text).size());
  }
  int64_t fewer = INT64_MAX;
  for (const double saving : {0.002, 0.005, 0.02}) {
    const ExtendReport report =
        extend_tokenizer(setting.source, {{"nw", {setting.new_text}}}, {{"o1", {setting.old_text}}},
                         {.new_tokens = {}, .min_saving = saving}, setting.target);
    CHECK(static_cast<double>(report.last_saving) >= saving * static_cast<double>(tokens));
    CHECK(report.merges_added < fewer);
    fewer = report.merges_added;
    // One merge more would have saved too little.
    const ExtendReport more =
        extend_tokenizer(setting.source, {{"nw", {setting.new_text}}}, {{"o1", {setting.old_text}}},
                         {.new_tokens = fewer + 1}, setting.target);
    CHECK(static_cast<double>(more.last_saving) < saving * static_cast<double>(tokens));
  }
  CHECK_FALSE(parse_new_tokens("auto", "x").has_value());
  CHECK(parse_new_tokens("12", "x") == 12);
  for (const char* wrong : {"", "12x", "-1", "Auto", "1e3"}) {
    CHECK_THROWS_AS(parse_new_tokens(wrong, "x"), ConfigError);
  }
}

TEST_CASE("no merge crosses a script or digit boundary unless asked", "[tokenizer]") {
  const TemporaryFolder folder;
  Json json = sample_json();
  // One piece per line: nothing but the merges themselves keeps scripts apart.
  json["pre_tokenizer"]["use_regex"] = false;
  folder.write("tokenizer.json", json.dump());
  std::string text;
  for (int i = 0; i < 50; ++i) text += "ab12\u0434\u043e\n";
  const auto file = folder.write("new.txt", text);
  const auto extend = [&](bool cross_script) {
    return extend_tokenizer(folder.path() / "tokenizer.json", {{"nw", {file}}}, {},
                            {.new_tokens = 20, .cross_script = cross_script},
                            folder.path() / "out");
  };
  const ExtendReport kept = extend(false);
  const Tokenizer apart = Tokenizer::load(folder.path() / "out");
  CHECK(kept.script_rejected > 0);
  CHECK(kept.unreachable == 0);
  CHECK(apart.encode("ab12\u0434\u043e").size() == 3);
  for (const NewToken& token : kept.tokens)
    CHECK_FALSE(crosses_script(apart.token_bytes(token.id)));
  const ExtendReport joined = extend(true);
  CHECK(joined.script_rejected == 0);
  CHECK(Tokenizer::load(folder.path() / "out").encode("ab12\u0434\u043e").size() == 1);
}

TEST_CASE("an extension that cannot be is refused, and nothing is written", "[tokenizer]") {
  const ExtensionSetting setting;
  const auto extend = [&](const ExtendOptions& options, const std::string& new_code) {
    extend_tokenizer(setting.source, {{new_code, {setting.new_text}}},
                     {{"old", {setting.old_text}}}, options, setting.target);
  };
  CHECK_THROWS_AS(extend({.guard_max_changed = -1}, "nw"), ConfigError);
  CHECK_THROWS_AS(extend({.guard_max_changed = 1.5}, "nw"), ConfigError);
  CHECK_THROWS_AS(extend({.min_saving = 0}, "nw"), ConfigError);
  CHECK_THROWS_AS(extend({.new_tokens = {}, .min_saving = 0.99}, "nw"), NumericError);
  CHECK_THROWS_AS(extend({.new_tokens = 0}, "nw"), ConfigError);
  CHECK_THROWS_AS(extend({.min_count = 0}, "nw"), ConfigError);
  CHECK_THROWS_AS(extend({}, "old"), ConfigError);
  CHECK_THROWS_AS(extend({.min_count = 1'000'000}, "nw"), NumericError);
  CHECK_FALSE(fs::exists(setting.target));
}

}  // namespace polygraft::tokenizer
