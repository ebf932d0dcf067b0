// tests/eval/choice_test.cpp: choices against one text at a time, items and errors. Equality with
// lm-evaluation-harness itself is shown by tests/integration/test_choice.py.
#include "eval/choice.h"

#include <ATen/ATen.h>

#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/text.h"
#include "eval/results.h"
#include "tests/eval/small_model.h"

namespace polygraft::eval {
namespace {

const model::Transformer& small_model() {  // a context of 16 tokens
  static const auto loaded =
      model::Transformer::load(model::ModelFolder::open(fixture_path("lm_eval/model")));
  return loaded;
}

ChoiceItem make_item(const std::string& context, const std::vector<std::string>& choices,
                     int64_t gold = 0) {
  const OrderedJson json = {
      {"id", "q"}, {"language", "en"}, {"context", context}, {"choices", choices}, {"gold", gold}};
  return {"q", "en", context, choices, gold, json};
}

/// All of `inputs` in one pass, then the sum over the last `targets.size()` positions.
double naive_nats(const std::vector<int64_t>& inputs, const std::vector<int64_t>& targets) {
  const auto n = static_cast<int64_t>(targets.size());
  const model::Batch batch{at::tensor(inputs, at::kLong), {static_cast<int64_t>(inputs.size())}};
  const at::Tensor logits = small_model().logits(small_model().hidden(batch)).to(at::kDouble);
  return -logits.narrow(0, logits.size(0) - n, n)
              .log_softmax(-1)
              .gather(1, at::tensor(targets, at::kLong).unsqueeze(1))
              .sum()
              .item<double>();
}

std::vector<int64_t> bytes_of(const std::string& text) {
  const auto ids = byte_tokenizer().encode(text);
  return {ids.begin(), ids.end()};
}

/// The text cut from the left to the model's 16 tokens, its last one not an input.
double naive_choice(const std::string& context, const std::string& choice) {
  std::vector<int64_t> all = context.empty() ? std::vector<int64_t>{0} : bytes_of(context);
  const std::vector<int64_t> targets = bytes_of(choice);
  all.insert(all.end(), targets.begin(), targets.end());
  all.pop_back();
  const size_t dropped = all.size() > 16 ? all.size() - 16 : 0;
  return naive_nats({all.begin() + static_cast<std::ptrdiff_t>(dropped), all.end()}, targets);
}

fs::path write_items(const TemporaryFolder& folder, const std::string& text) {
  write_file_atomically(folder / "quiz.jsonl", text);
  return folder / "quiz.jsonl";
}

constexpr const char* kLine =
    R"({"id": "a", "language": "en", "context": "x", "choices": ["y", "z"], "gold": 1})";

}  // namespace

TEST_CASE("a choice scores what its text scores alone, short, long or without context",
          "[eval][choice]") {
  const auto item = GENERATE(make_item("2+2=", {"4", "fünf", "22"}), make_item("", {"yes", "no"}),
                             make_item("q", {"a", "b"}),
                             make_item("a long context, cut ", {"here", "and there"}));
  const auto scores = score_choices(small_model(), byte_tokenizer(), {item, item}, {});
  REQUIRE(scores.size() == 2);
  for (const ChoiceScore& score : scores) {
    REQUIRE(score.choices.size() == item.choices.size());
    for (size_t c = 0; c < item.choices.size(); ++c) {
      INFO(item.context << "|" << item.choices[c]);
      const bool space_moves = !item.context.empty() && item.context.back() == ' ';
      const std::string context = space_moves ? "a long context, cut" : item.context;
      const std::string choice = (space_moves ? " " : "") + item.choices[c];
      CHECK(score.choices[c].nats == Approx(naive_choice(context, choice)).epsilon(1e-5));
      CHECK(score.choices[c].num_tokens == static_cast<int64_t>(choice.size()));
      CHECK(score.choices[c].num_bytes == static_cast<int64_t>(item.choices[c].size()));
    }
  }
}

TEST_CASE("blank lines and a byte order mark are no items", "[eval][choice]") {
  const TemporaryFolder folder;
  const fs::path file = write_items(folder, concat("\xEF\xBB\xBF", kLine, "\n\n \t\n"));
  CHECK(read_choice_items({file}).at("quiz_en").size() == 1);
  for (const char* text : {"", "\n \n"})
    CHECK_THROWS_WITH(read_choice_items({write_items(folder, text)}),
                      Catch::Contains("no item in it"));
}

TEST_CASE("a choice that joins its context's last word is found", "[eval][choice]") {
  const auto found = [](const std::string& context, const std::string& choice) {
    ChoiceItem item;
    item.id = "a";
    item.context = context;
    item.choices = {" fits", choice};
    return find_joined_words({{"quiz_en", {item}}});
  };
  CHECK(found("A good", "day to all") == "quiz_en, item 'a': 'goodday'");
  CHECK(found("good", "1") == "quiz_en, item 'a': 'good1'");
  for (const auto& [context, choice] : {std::pair{"A good", " day"},
                                        {"A good ", "day"},
                                        {"", "day"},
                                        {"Well:", "day"},
                                        {"A good", "."},
                                        {"\xE4\xBD\xA0", "\xE5\xA5\xBD"}}) {
    CHECK(found(context, choice).empty());
  }
}

TEST_CASE("code points are counted for acc_norm, bytes for acc_bytes", "[eval][choice]") {
  const auto score =
      score_choices(small_model(), byte_tokenizer(), {make_item("q", {"für", "ok"})}, {}).front();
  CHECK(score.choices[0].num_characters == 3);
  CHECK(score.choices[0].num_bytes == 4);
}

TEST_CASE("the likeliest is chosen under each norm, the first of equals", "[eval][choice]") {
  const ChoiceScore score{{{6.0, 3, 12, 10}, {5.0, 2, 5, 5}, {5.0, 1, 5, 5}}};
  CHECK_FALSE(accuracy_of(score, 0).raw);
  CHECK(accuracy_of(score, 1).raw);
  CHECK_FALSE(accuracy_of(score, 2).raw);
  CHECK(accuracy_of(score, 0).by_bytes);
  CHECK(accuracy_of(score, 0).by_characters);
  CHECK(accuracy_of(score, 0).by_tokens);
}

TEST_CASE("a choice that cannot be scored is named", "[eval][choice]") {
  const auto score = [](const ChoiceItem& item) {
    score_choices(small_model(), byte_tokenizer(), {item}, {});
  };
  CHECK_THROWS_WITH(score(make_item("q", {"a", std::string(17, 'b')})),
                    Catch::Contains("item 'q', choice 1") && Catch::Contains("longer"));
}

TEST_CASE("items are grouped by task and language", "[eval][choice]") {
  const TemporaryFolder folder;
  const auto tasks = read_choice_items({write_items(
      folder,
      std::string(kLine) + "\n" +
          R"({"id": 7, "language": "de", "context": "", "choices": ["a", "b"], "gold": 0})")});
  REQUIRE(tasks.size() == 2);
  CHECK(tasks.at("quiz_en").front().gold == 1);
  CHECK(tasks.at("quiz_de").front().id == "7");
  fs::rename(folder / "quiz.jsonl", folder / "quiz_en.jsonl");
  CHECK(read_choice_items({folder / "quiz_en.jsonl"}).count("quiz_en") == 1);
}

TEST_CASE("a line that is no item is named", "[eval][choice]") {
  const TemporaryFolder folder;
  const std::string line(kLine);
  const auto broken = GENERATE_COPY(
      std::string("[]"), std::string("{"), line + "\n" + line,
      R"({"id": "a", "language": "en", "context": "x", "choices": ["y"], "gold": 0})",
      R"({"id": "a", "language": "en", "context": "x", "choices": ["y", ""], "gold": 0})",
      R"({"id": "a", "language": "en", "context": "x", "choices": ["y", "z"], "gold": 2})",
      R"({"id": "a", "language": "en", "context": "x", "choices": ["y", "z"], "gold": -1})",
      R"({"language": "en", "context": "x", "choices": ["y", "z"], "gold": 0})",
      R"({"id": "a", "context": "x", "choices": ["y", "z"], "gold": 0})", std::string("\"\xFF\""),
      std::string());
  INFO(broken);
  CHECK_THROWS_AS(read_choice_items({write_items(folder, broken)}), FormatError);
  CHECK_THROWS_AS(read_choice_items({folder / "quiz.txt"}), ConfigError);
  CHECK_THROWS_AS(read_choice_items({}), ConfigError);
}

TEST_CASE("results read back as they were written", "[eval][choice]") {
  const TemporaryFolder folder;
  ChoiceTask task{{make_item("2+2=", {"4", "5"}), make_item("q", {"a", "b"}, 1)}, {}};
  task.scores = score_choices(small_model(), byte_tokenizer(), task.items, {});
  write_choice_result({"model", "hash", OrderedJson::object(), {{"quiz_en", task}}},
                      folder / "results");
  const ResultFolder read = read_result_folder(folder / "results");
  const TaskSamples& written = read.tasks.at({"quiz_en", "none"});
  const auto& samples = written.samples;
  const auto value = [&](size_t i, const char* metric) {
    return samples[i].values.at(static_cast<size_t>(written.metric_index(metric)));
  };
  REQUIRE(samples.size() == 2);
  for (size_t i = 0; i < samples.size(); ++i) {
    const ChoiceAccuracy right = accuracy_of(task.scores[i], task.items[i].gold);
    CHECK(value(i, "acc") == (right.raw ? 1 : 0));
    CHECK(value(i, "acc_tokens") == (right.by_tokens ? 1 : 0));
    CHECK(samples[i].prompt_hash == fingerprint(sha256(task.items[i].context)));
  }
}

}  // namespace polygraft::eval
