// tests/eval/cloze_test.cpp: what items must hold, whatever the text.
#include "eval/cloze.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::eval {
namespace {

/// Documents of numbered words, all different.
std::vector<tokenizer::Document> documents(int count, int num_words, const std::string& separator) {
  std::vector<tokenizer::Document> all;
  for (int d = 0; d < count; ++d) {
    std::string text;
    for (int w = 0; w < num_words; ++w) text += concat("wört", d * 1000 + w, separator);
    all.push_back({concat("page", d), text});
  }
  return all;
}

const ClozeOptions kShort{.choices = 3,
                          .context_characters = 40,
                          .continuation_characters = 20,
                          .items_per_document = 2,
                          .seed = 5};

const std::string& text_of(const std::vector<tokenizer::Document>& documents,
                           const OrderedJson& item) {
  for (const auto& document : documents) {
    if (document.id == item["document"]) return document.text;
  }
  FAIL("no document " << item["document"]);
  return documents.front().text;
}

}  // namespace

TEST_CASE("the gold choice is what follows in the document, the others are from other documents",
          "[eval][cloze]") {
  const auto texts = documents(6, 60, GENERATE(as<std::string>{}, " ", ""));
  const auto items = make_cloze_items("de", texts, kShort);
  REQUIRE(items.size() == 12);
  std::set<std::string> ids;
  std::set<int> golds;
  for (const OrderedJson& item : items) {
    ids.insert(item["id"].get<std::string>());
    golds.insert(item["gold"].get<int>());
    const auto choices = item["choices"].get<std::vector<std::string>>();
    REQUIRE(choices.size() == 3);
    CHECK(std::set<std::string>(choices.begin(), choices.end()).size() == 3);
    const std::string& text = text_of(texts, item);
    for (size_t c = 0; c < choices.size(); ++c) {
      const std::string joined = item["context"].get<std::string>() + choices[c];
      CHECK((text.find(joined) != std::string::npos) == (c == item["gold"].get<size_t>()));
      CHECK(find_invalid_utf8(choices[c]) == std::string::npos);
      CHECK(choices[c].size() >= 8);
    }
  }
  CHECK(ids.size() == items.size());
  CHECK(golds.size() == 3);
}

TEST_CASE("the same text gives the same items; another seed gives others", "[eval][cloze]") {
  const auto texts = documents(6, 60, " ");
  const auto items = make_cloze_items("de", texts, kShort);
  CHECK(items == make_cloze_items("de", texts, kShort));
  ClozeOptions other = kShort;
  other.seed = 6;
  CHECK(items != make_cloze_items("de", texts, other));
}

TEST_CASE("wrong choices are drawn from all other documents, each passage as often as any",
          "[eval][cloze]") {
  ClozeOptions options = kShort;
  options.items_per_document = 1;
  options.choices = 6;
  const auto all = make_cloze_items("de", documents(6, 60, " "), options);
  for (const OrderedJson& item : all) {  // there are no more than these
    const auto choices = item["choices"].get<std::vector<std::string>>();
    CHECK(std::set<std::string>(choices.begin(), choices.end()).size() == 6);
  }
  options.choices = 3;
  std::map<std::string, int> drawn;
  for (const OrderedJson& item : make_cloze_items("de", documents(400, 60, " "), options)) {
    for (const auto& choice : item["choices"]) ++drawn[choice.get<std::string>()];
  }
  CHECK(drawn.size() == 400);
  for (const auto& [choice, count] : drawn) CHECK(count <= 1 + 10);  // 2 in the mean
}

TEST_CASE("too little text is an error that says how much is needed", "[eval][cloze]") {
  CHECK_THROWS_WITH(make_cloze_items("de", documents(6, 4, " "), kShort),
                    Catch::Contains("no document is long enough"));
  CHECK_THROWS_WITH(make_cloze_items("de", documents(1, 60, " "), kShort),
                    Catch::Contains("too few long documents"));
}

TEST_CASE("documents of one id make items of several", "[eval][cloze]") {
  auto texts = documents(6, 60, " ");
  for (size_t d = 0; d < 3; ++d) texts[d].id = "a.txt:1";
  texts[3].id = "a.txt:1~2";
  std::set<std::string> ids, of;
  const auto items = make_cloze_items("de", texts, kShort);
  for (const OrderedJson& item : items) {
    ids.insert(item["id"].get<std::string>());
    of.insert(item["document"].get<std::string>());
  }
  CHECK(ids.size() == items.size());
  CHECK(of ==
        std::set<std::string>{"a.txt:1", "a.txt:1~2", "a.txt:1~3", "a.txt:1~4", "page4", "page5"});
}

TEST_CASE("no context and no choice is white space alone", "[eval][cloze]") {
  auto texts = documents(6, 60, " ");
  const std::string wide(30, '\n');
  for (auto& document : texts) {
    document.text.insert(0, wide);
    document.text.insert(document.text.find(' ', 110), wide);  // longer than a continuation
    document.text.insert(document.text.find(' ', 210), std::string(12, ' '));
  }
  texts[0].text = "x " + std::string(300, 'y') + " z";  // a word end early in the context
  const auto items = make_cloze_items("de", texts, kShort);
  const auto is_white = [](const std::string& text) {
    return text.find_first_not_of(" \n") == std::string::npos;
  };
  for (const OrderedJson& item : items) {
    CAPTURE(item.dump());
    CHECK(item["context"].get<std::string>().find_first_of(" \n") != 0);
    CHECK(num_characters(item["context"].get<std::string>()) >= 20);
    for (const auto& choice : item["choices"]) CHECK_FALSE(is_white(choice.get<std::string>()));
  }
  CHECK(items.size() == 12);
}

TEST_CASE("a task's YAML quotes names, which may hold what YAML has a meaning for",
          "[eval][cloze]") {
  const std::string task = "cloze_a: {b}, #c";
  const std::string yaml = cloze_task_yaml(task, task + ".jsonl");
  CHECK(yaml.find("task: \"cloze_a: {b}, #c\"\n") != std::string::npos);
  CHECK(yaml.find("{test: \"cloze_a: {b}, #c.jsonl\"}") != std::string::npos);
}

TEST_CASE("options out of range are all reported", "[eval][cloze]") {
  const auto source = ConfigSource::from_text("{choices: 1, seed: -1}", "cloze.yaml");
  CHECK_THROWS_WITH(bind_config<ClozeOptions>(source),
                    Catch::Contains("choices") && Catch::Contains("seed"));
}

}  // namespace polygraft::eval
