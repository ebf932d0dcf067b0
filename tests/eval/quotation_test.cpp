// tests/eval/quotation_test.cpp: documents behind a passage: what the passage is, and that it
// counts for nothing.
#include "eval/quotation.h"

#include <catch2/catch.hpp>

#include "core/hash.h"
#include "eval/scoring.h"
#include "tests/eval/small_model.h"

namespace polygraft::eval {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::vector<tokenizer::Document> behind(const std::string& context) {
  std::vector<tokenizer::Document> texts = documents();
  for (tokenizer::Document& document : texts) document.context = context;
  return texts;
}

}  // namespace

TEST_CASE("a passage is a document's first words as a line", "[eval][quotation]") {
  CHECK(passage_of("short") == "short\n");
  const std::string words = passage_of(repeated("word ", 100));
  CHECK(words == repeated("word ", 31) + "word\n");
  CHECK(passage_of(repeated("x", 300)) == repeated("x", 160) + "\n");
  const std::string han = passage_of(repeated("字", 100));
  CHECK(han == repeated("字", 53) + "\n");  // 3 bytes each: none is cut
}

TEST_CASE("documents get passages in turn", "[eval][quotation]") {
  std::vector<tokenizer::Document> texts(3, {"", "text"});
  put_behind({{"", "first"}, {"", "second"}}, texts);
  CHECK(texts[0].context == "first\n");
  CHECK(texts[1].context == "second\n");
  CHECK(texts[2].context == "first\n");
}

TEST_CASE("behind a context a document costs what both cost together, less the context alone",
          "[eval][quotation][property]") {
  const model::Transformer transformer = grown_moe();
  const tokenizer::Tokenizer tokenizer = byte_tokenizer();
  const std::string context = "a quoted line\n";
  std::vector<tokenizer::Document> texts, alone = {{"context", context}}, together;
  for (const auto& document : documents()) {
    if (document.text.size() > 16) continue;  // all of it in one window
    texts.push_back(document);
    texts.back().context = context;
    together.push_back({document.id, context + document.text});
  }
  REQUIRE(texts.size() >= 3);
  const auto scores = score_documents(transformer, tokenizer, texts, {});
  const auto sums = score_documents(transformer, tokenizer, together, {});
  const double context_nats = score_documents(transformer, tokenizer, alone, {}).at(0).nats;
  for (size_t i = 0; i < texts.size(); ++i) {
    INFO(texts[i].text);
    CHECK(scores[i].nats == Approx(sums[i].nats - context_nats).epsilon(1e-5));
    CHECK(scores[i].num_bytes == static_cast<int64_t>(texts[i].text.size()));
    CHECK(scores[i].num_tokens == scores[i].num_bytes);
    double by_position = 0;
    for (const double nats : scores[i].nats_by_position) by_position += nats;
    CHECK(by_position == Approx(scores[i].nats));
  }
}

TEST_CASE("however long the context, each token of the text is scored", "[eval][quotation]") {
  const model::Transformer transformer = grown_moe();
  const auto short_window = score_documents(transformer, byte_tokenizer(), behind("123456789\n"),
                                            {.max_context_tokens = 8});
  const auto plain =
      score_documents(transformer, byte_tokenizer(), documents(), {.max_context_tokens = 8});
  for (size_t i = 0; i < plain.size(); ++i) {
    CHECK(short_window[i].num_tokens == plain[i].num_tokens);
    CHECK(short_window[i].nats_by_position[0] > 0);
    CHECK(short_window[i].nats != plain[i].nats);
  }
}

TEST_CASE("the same text behind another passage is another text", "[eval][quotation]") {
  const model::Transformer transformer = grown_moe();
  const auto one = score_documents(transformer, byte_tokenizer(), behind("one\n"), {});
  const auto two = score_documents(transformer, byte_tokenizer(), behind("two\n"), {});
  CHECK(one[0].text_hash == sha256("one\n" + documents()[0].text));
  CHECK(one[0].text_hash != two[0].text_hash);
}

}  // namespace polygraft::eval
