// tests/tokenizer/extend_sentencepiece_test.cpp: pieces appended to models that the library
// trained.
#include "tokenizer/extend_sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <catch2/catch.hpp>
#include <limits>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "core/text.h"
#include "sample_sentencepiece.h"
#include "sample_tokenizer.h"
#include "tokenizer/base_view.h"
#include "tokenizer/corpus.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/protobuf_reader.h"
#include "tokenizer/protobuf_writer.h"
#include "tokenizer/sentencepiece_file.h"
#include "tokenizer/sentencepiece_growth.h"

namespace polygraft::tokenizer {
namespace {

struct Setting {
  TemporaryFolder folder;
  fs::path old_text = folder.write("old.txt", invented_text(1, "abcdeeaa"));
  fs::path new_text = folder.write("new.txt", invented_text(3, "cdefghae"));
  fs::path source = folder.path() / "source", target = folder.path() / "target";

  explicit Setting(const std::string& type = "bpe") {
    fs::create_directories(source);
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        concat("--input=", old_text.string(), ",", new_text.string(),
               " --model_prefix=", (source / "tokenizer").string(), " --model_type=", type,
               " --vocab_size=340 --byte_fallback=true --user_defined_symbols=<tool>,abc"
               " --control_symbols=<turn> --minloglevel=2"));
    REQUIRE(status.ok());
  }
  ExtendReport extend(const ExtendOptions& options) const {
    return extend_tokenizer(source, {{"nw", {new_text}}}, {{"old", {old_text}}}, options, target);
  }
};

struct Library {
  sentencepiece::SentencePieceProcessor processor;
  explicit Library(const fs::path& folder) {
    REQUIRE(processor.Load((folder / "tokenizer.model").string()).ok());
  }
};

}  // namespace

TEST_CASE("a SentencePiece BPE model grows and guarded text keeps its ids",
          "[tokenizer][property]") {
  const Setting setting;
  const ExtendReport report = setting.extend({.new_tokens = 60});
  CHECK(report.merges_added == 60);
  CHECK(report.unreachable == 0);
  CHECK(report.guard_rejected_total > 0);
  CHECK(report.languages.at("nw").tokens_after < report.languages.at("nw").tokens_before);
  const Library old(setting.source), grown(setting.target);
  REQUIRE(grown.processor.GetPieceSize() == old.processor.GetPieceSize() + 60);
  for (const Document& document : read_documents({setting.old_text})) {
    REQUIRE(old.processor.EncodeAsIds(document.text) == grown.processor.EncodeAsIds(document.text));
  }
  for (const Document& document : read_documents({setting.new_text})) {
    const auto ids = grown.processor.EncodeAsIds(document.text);
    REQUIRE(grown.processor.DecodeIds(ids) == document.text);
  }
}

TEST_CASE("old pieces keep text, score and type, and new ones score below them", "[tokenizer]") {
  const Setting setting;
  setting.extend({.new_tokens = 20});
  const fs::path file = "tokenizer.model";
  const std::string before = read_file(setting.source / file),
                    after = read_file(setting.target / file);
  CHECK(after.starts_with(before));
  const auto old = parse_sentencepiece_file(before, file).pieces,
             grown = parse_sentencepiece_file(after, file).pieces;
  REQUIRE(grown.size() == old.size() + 20);
  float lowest = 0;
  for (size_t i = 0; i < grown.size(); ++i) {
    if (i < old.size()) {
      CHECK(grown[i].text == old[i].text);
      CHECK(grown[i].type == old[i].type);
    } else {
      CHECK(grown[i].score < lowest);
    }
    lowest = std::min(lowest, grown[i].score);
  }
  const Library library(setting.target);
  CHECK(library.processor.EncodeAsIds("<tool>").back() == library.processor.PieceToId("<tool>"));
  CHECK(library.processor.IsControl(library.processor.PieceToId("<turn>")));
}

TEST_CASE("no new piece holds a user-defined one, and the guard names its text", "[tokenizer]") {
  const Setting setting;
  const ExtendReport report = setting.extend({.new_tokens = 60});
  const Library old(setting.source), grown(setting.target);
  const int defined = old.processor.PieceToId("abc");
  for (const NewToken& token : report.tokens) {
    CHECK(std::count(token.old_tokens.begin(), token.old_tokens.end(), defined) == 0);
    CHECK(token.old_tokens.size() >= 2);
  }
  for (const GuardRejection& rejection : report.guard_rejected) {
    CHECK(rejection.language == "old");
    CHECK(rejection.document.starts_with("old.txt:"));
    std::string text = rejection.pair;
    text.erase(text.find(' '), 1);
    if (text.starts_with(kVisibleSpace)) text.replace(0, kVisibleSpace.size(), " ");
    CHECK(rejection.text.find(text) != std::string::npos);
  }
}

TEST_CASE("a new piece's parts are what the old model has in its place", "[tokenizer][property]") {
  const Setting setting;
  const ExtendReport report = setting.extend({.new_tokens = 60});
  const Tokenizer old = Tokenizer::load(setting.source), grown = Tokenizer::load(setting.target);
  const auto first = static_cast<TokenId>(old.size());
  const auto parts = old_parts_of_added_tokens(grown, first);
  REQUIRE(parts.size() == report.tokens.size());
  for (size_t i = 0; i < parts.size(); ++i) CHECK(parts[i] == report.tokens[i].old_tokens);
  size_t replaced = 0;
  for (const Document& document : read_documents({setting.new_text})) {
    std::vector<TokenId> undone;
    for (const TokenId id : grown.encode(document.text)) {
      const std::vector<TokenId> own{id};
      const auto& kept = id < first ? own : parts[static_cast<size_t>(id - first)];
      replaced += id < first ? 0 : 1;
      undone.insert(undone.end(), kept.begin(), kept.end());
    }
    REQUIRE(undone == old.encode(document.text));
  }
  CHECK(replaced > 100);
  CHECK(without_added_tokens(grown, first).encode("abc dead <tool>") ==
        old.encode("abc dead <tool>"));
}

TEST_CASE("a guard budget is kept with SentencePiece, too, and threads change nothing",
          "[tokenizer][property]") {
  const Setting setting;
  std::vector<std::string> models;
  for (const int num_threads : {1, 3}) {
    set_default_num_threads(num_threads);
    const ExtendReport report = setting.extend({.new_tokens = 60, .guard_max_changed = 0.1});
    const LanguageSegmentation& guarded = report.languages.at("old");
    CHECK(report.guard_admitted > 0);
    CHECK(guarded.changed_documents > 0);
    CHECK(guarded.changed_documents <= guarded.documents / 10);
    models.push_back(read_file(setting.target / "tokenizer.model"));
  }
  set_default_num_threads(0);
  CHECK(models[0] == models[1]);
}

TEST_CASE("what a file has beyond its base is its further pieces, or an error", "[tokenizer]") {
  const std::string base = sample_model({"a", "b", "ab"});
  const auto difference = [&](const std::string& grown) {
    return message_of<FormatError>([&] { added_pieces(base, grown, "tokenizer.model"); });
  };
  const std::string grown = with_pieces(base, {"aba", "abb"}, "tokenizer.model");
  CHECK(added_pieces(base, grown, "tokenizer.model") == std::vector<std::string>{"aba", "abb"});
  CHECK(added_pieces(base, base, "tokenizer.model").empty());
  CHECK(difference(sample_model({"a", "c", "ab"})).find("piece 260 ('b')") != std::string::npos);
  CHECK(difference(sample_model({"a", "b"})).find("piece 261 ('ab')") != std::string::npos);
  CHECK(difference(base + piece_field("aba", 0, PieceType::kNormal)).find("more than new pieces") !=
        std::string::npos);
  CHECK(difference(without_added_space(grown)).find("more than new pieces") != std::string::npos);
  // As in Mixtral's model, where a float knows only every 64th number.
  const std::string low = base + piece_field("q", -1e9F, PieceType::kNormal);
  const auto pieces = parse_sentencepiece_file(with_pieces(low, {"aba", "abb"}, "m"), "m").pieces;
  CHECK(pieces[263].score < -1e9F);
  CHECK(pieces[264].score < pieces[263].score);
  const float lowest = std::numeric_limits<float>::lowest();
  const std::string bottom = base + piece_field("q", lowest, PieceType::kNormal);
  CHECK(message_of<FormatError>([&] {
          with_pieces(bottom, {"aba"}, "m");
        }).find("no score is left") != std::string::npos);
}

TEST_CASE("what cannot be extended safely is refused by name", "[tokenizer]") {
  const Setting setting, unigram("unigram");
  CHECK(message_of<NotBuiltError>([&] { unigram.extend({}); }).find("unigram") !=
        std::string::npos);
  setting.folder.write("source/added_tokens.json", R"({"<pad>": 340})");
  CHECK(message_of<FormatError>([&] { setting.extend({}); }).find("id 340") != std::string::npos);
  setting.folder.write("source/added_tokens.json", R"({"<s>": 1})");
  CHECK(setting.extend({.new_tokens = 5}).merges_added == 5);
  setting.folder.write("source/tokenizer.model",
                       sample_model({"a", "b"}) + piece_field("ab", -9, PieceType::kUnused));
  CHECK(message_of<NotBuiltError>([&] { setting.extend({}); }).find("unused pieces") !=
        std::string::npos);
  setting.folder.write("source/tokenizer.model",
                       "\x0A\xFF\xFF\xFF\x7F"
                       "abc");
  CHECK_THROWS_AS(setting.extend({}), FormatError);
}

TEST_CASE("protobuf fields come back as they were appended", "[tokenizer]") {
  std::string message;
  append_varint_field(message, 4, 300);
  append_bytes_field(message, 1, "text");
  append_float_field(message, 2, -1.5F);
  CHECK(message == std::string("\x20\xAC\x02\x0A\x04text\x15\x00\x00\xC0\xBF", 14));
  const fs::path where = "m";
  ProtobufReader reader(message, where);
  std::vector<uint32_t> numbers;
  for (ProtobufField field; reader.next(field);) numbers.push_back(field.number);
  CHECK(numbers == std::vector<uint32_t>{4, 1, 2});
}

}  // namespace polygraft::tokenizer
