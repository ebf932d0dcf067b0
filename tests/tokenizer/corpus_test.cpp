// tests/tokenizer/corpus_test.cpp
#include "tokenizer/corpus.h"

#include <algorithm>
#include <boost/iostreams/filter/gzip.hpp>
#include <boost/iostreams/filter/zstd.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <catch2/catch.hpp>
#include <sstream>

#include "core/error.h"
#include "sample_tokenizer.h"
#include "tokenizer/shared_documents.h"

namespace polygraft::tokenizer {
namespace {

template <class Compressor>
std::string compressed(const std::string& text) {
  std::ostringstream bytes;
  boost::iostreams::filtering_ostream stream;
  stream.push(Compressor());
  stream.push(bytes);
  stream << text;
  stream.reset();
  return bytes.str();
}

std::string failure(const fs::path& file) {
  return message_of<FormatError>([&] { read_documents({file}); });
}

}  // namespace

TEST_CASE("text files hold a document a line", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto documents = read_documents({folder.write("a.txt", "one\n\n two \r\nlast")});
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].id == "a.txt:1");
  CHECK(documents[0].text == "one");
  CHECK(documents[1].id == "a.txt:3");
  CHECK(documents[1].text == " two ");
  CHECK(documents[2].text == "last");
}

TEST_CASE("jsonl files name their documents", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto documents =
      read_documents({folder.write("a.jsonl",
                                   "{\"text\": \"x\\ny\", \"id\": \"first\"}\n{\"id\": 7, "
                                   "\"text\": \"z\"}\n{\"text\": \"w\"}\n")});
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].id == "first");
  CHECK(documents[0].text == "x\ny");
  CHECK(documents[1].id == "7");
  CHECK(documents[2].id == "a.jsonl:3");
}

TEST_CASE("compressed files read like plain ones", "[tokenizer]") {
  const TemporaryFolder folder;
  std::string text;
  for (int line = 0; line < 50'000; ++line) text += "line " + std::to_string(line) + " é\n";
  const auto plain = read_documents({folder.write("a.txt", text)});
  const auto gz = folder.write("a.txt.gz", compressed<boost::iostreams::gzip_compressor>(text));
  const auto zst = folder.write("a.txt.zst", compressed<boost::iostreams::zstd_compressor>(text));
  for (const auto& file : {gz, zst}) {
    const auto documents = read_documents({file});
    REQUIRE(documents.size() == plain.size());
    CHECK(documents.back().text == plain.back().text);
    CHECK(documents.back().id == file.filename().string() + ":50000");
  }
}

TEST_CASE("files of several compressed parts are read to the end", "[tokenizer]") {
  const TemporaryFolder folder;
  using boost::iostreams::gzip_compressor;
  using boost::iostreams::zstd_compressor;
  const auto gz = compressed<gzip_compressor>("one\n") + compressed<gzip_compressor>("two\n");
  const auto zst = compressed<zstd_compressor>("one\n") + compressed<zstd_compressor>("two\n");
  CHECK(read_documents({folder.write("a.txt.gz", gz)}).size() == 2);
  CHECK(read_documents({folder.write("a.txt.zst", zst)}).size() == 2);
}

TEST_CASE("compressed files that are cut off or broken are errors", "[tokenizer]") {
  const TemporaryFolder folder;
  std::string text;
  for (int line = 0; line < 20'000; ++line) text += std::to_string(line * 7919) + "\n";
  const std::string gz = compressed<boost::iostreams::gzip_compressor>(text);
  const std::string zst = compressed<boost::iostreams::zstd_compressor>(text);
  CHECK(has(failure(folder.write("cut.txt.gz", gz.substr(0, gz.size() / 2))), "cut.txt.gz"));
  CHECK(has(failure(folder.write("cut.txt.zst", zst.substr(0, zst.size() / 2))), "cut.txt.zst"));
  CHECK(has(failure(folder.write("plain.txt.gz", "not compressed\n")), "line 1 cannot be read"));
  CHECK(has(failure(folder.write("plain.txt.zst", "not compressed\n")), "line 1 cannot be read"));
  std::string flipped = gz;
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x55);
  CHECK_FALSE(failure(folder.write("flipped.txt.gz", flipped)).empty());
}

TEST_CASE("broken lines name file and line", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto utf8 = failure(folder.write("a.txt", "good\nbad \xC3(\n"));
  CHECK(has(utf8, "a.txt:2"));
  CHECK(has(utf8, "byte 4"));
  CHECK(has(failure(folder.write("b.jsonl", "{\"text\": \"x\"}\n{\"text\": \n")), "b.jsonl:2"));
  CHECK(has(failure(folder.write("c.jsonl", "{\"txt\": \"x\"}\n")), "c.jsonl:1"));
  CHECK(has(failure(folder.write("d.jsonl", "{\"text\": 5}\n")), "d.jsonl:1"));
  CHECK(has(failure(folder.write("e.jsonl", "[]\n")), "e.jsonl:1"));
  CHECK(has(failure(folder.write("f.txt", "")), "no document"));
  CHECK(has(failure(folder.write("g.txt", "\n\n")), "no document"));
  CHECK(has(failure(folder.write("h.csv", "x\n")), ".csv"));
  CHECK_THROWS_AS(read_documents({folder.path() / "none.txt"}), IoError);
}

TEST_CASE("a byte order mark at a file's beginning is no text", "[tokenizer]") {
  const TemporaryFolder folder;
  const std::string mark = "\xEF\xBB\xBF";
  const auto documents = read_documents({folder.write("a.txt", mark + "one\n" + mark + "two\n"),
                                         folder.write("b.jsonl", mark + "{\"text\": \"x\"}\n")});
  REQUIRE(documents.size() == 3);
  CHECK(documents[0].text == "one");
  CHECK(documents[1].text == mark + "two");  // only there is it a mark
  CHECK(documents[2].text == "x");
}

TEST_CASE("blank lines of JSON lines are no documents, and have numbers", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto documents = read_documents(
      {folder.write("a.jsonl", "\n{\"text\": \"x\"}\r\n \t\r\n{\"text\": \"y\"}\n\n  ")});
  REQUIRE(documents.size() == 2);
  CHECK(documents[1].id == "a.jsonl:4");
  CHECK(has(failure(folder.write("b.jsonl", " \n\n")), "no document"));
}

TEST_CASE("a text of white space alone is no document", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto documents = read_documents({folder.write("a.jsonl", R"({"text": " \n\t"})"
                                                                 "\n"
                                                                 R"({"text": " x "})"
                                                                 "\n"),
                                         folder.write("b.txt", " \t \n\u3000\u00A0\n y\n")});
  REQUIRE(documents.size() == 2);
  CHECK(documents[0].text == " x ");
  CHECK(documents[1].id == "b.txt:3");
  CHECK(has(failure(folder.write("c.txt", "  \n\t\n")), "no document"));
}

TEST_CASE("a Zstandard window of more than 128 MiB is read", "[tokenizer]") {
  // A frame by hand (RFC 8878): magic number, no content size, a window of 2^28 bytes, then one raw
  // block, which is the last and has 5 bytes.
  const std::string frame("\x28\xB5\x2F\xFD\x00\x90\x29\x00\x00text\n", 14);
  const TemporaryFolder folder;
  const auto documents = read_documents({folder.write("a.txt.zst", frame)});
  REQUIRE(documents.size() == 1);
  CHECK(documents.front().text == "text");
}

TEST_CASE("a file's name that is no UTF-8 makes ids that are", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto documents = read_documents({folder.write("a\xFF.txt", "x\n")});
  CHECK(documents.front().id == "a\xEF\xBF\xBD.txt:1");
}

TEST_CASE("text of another encoding is named, with the command that converts it", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto as_utf16 = [](const std::string& text, bool big_endian) {
    std::string bytes;
    for (const char c : text) {
      bytes += big_endian ? std::string{'\0', c} : std::string{c, '\0'};
    }
    return bytes;
  };
  const std::string little = as_utf16("first line\nsecond line\n", false),
                    big = as_utf16("first line\nsecond line\n", true);
  const auto of_little = failure(folder.write("little.txt", little));
  CHECK(has(of_little, "little.txt:1"));
  CHECK(has(of_little, "looks like UTF-16"));
  CHECK(has(of_little, "iconv -f UTF-16LE -t UTF-8"));
  CHECK(has(failure(folder.write("big.txt", big)), "iconv -f UTF-16BE -t UTF-8"));
  CHECK(has(failure(folder.write("little.jsonl", little)), "looks like UTF-16"));
  for (const std::string& marked : {"\xFF\xFE" + little, "\xFE\xFF" + big}) {
    const auto of_marked = failure(folder.write("marked.txt", marked));
    CHECK(has(of_marked, "UTF-16 with a byte order mark"));
    CHECK(has(of_marked, "iconv -f UTF-16 -t UTF-8"));
  }
  CHECK(has(failure(folder.write("latin.txt", "caf\xE9\n")), "iconv -f ENCODING"));
}

TEST_CASE("a text with a zero character is refused", "[tokenizer]") {
  const TemporaryFolder folder;
  const std::string zero(1, '\0');
  const auto of_text = failure(folder.write("a.txt", "good\nba" + zero + "d\n"));
  CHECK(has(of_text, "a.txt:2"));
  CHECK(has(of_text, "first at byte 2"));
  CHECK(has(of_text, "tr -d '\\000'"));
  CHECK_FALSE(has(of_text, "UTF-16"));
  CHECK(has(failure(folder.write("b.jsonl", "{\"text\": \"a\\u0000b\"}\n")), "gsub"));
}

TEST_CASE("a file that is named for what it is not is told by its content", "[tokenizer]") {
  const TemporaryFolder folder;
  const std::string gz = compressed<boost::iostreams::gzip_compressor>("{\"text\": \"x\"}\n");
  const std::string zst = compressed<boost::iostreams::zstd_compressor>("{\"text\": \"x\"}\n");
  CHECK(has(failure(folder.write("a.jsonl", gz)), "name it .txt.gz or .jsonl.gz"));
  CHECK(has(failure(folder.write("b.txt", zst)), "name it .txt.zst or .jsonl.zst"));
  CHECK(has(failure(folder.write("c.txt.gz", zst)), "name it .txt.zst or .jsonl.zst"));
  CHECK(has(failure(folder.write("d.txt.gz", "plain\n")), "not compressed: take .gz off its name"));
  CHECK(has(failure(folder.write("e.txt.zst", "plain\n")), "take .zst off its name"));
  CHECK(has(failure(folder.write("cut.jsonl.gz", gz.substr(0, gz.size() - 9))), "cut off"));
  CHECK(has(failure(folder.write("empty.txt.gz", "")), "the file is empty"));
  CHECK(has(failure(folder.write("short.txt.zst", zst.substr(0, 3))), "cut off"));
  CHECK(has(failure(folder.write("short.txt.gz", "ab")), "take .gz off its name"));
  CHECK(has(failure(folder.write("f.TXT", "x\n")), "name it .txt, in small letters"));
  CHECK(has(failure(folder.write("g.json", "[]\n")), "jq -c '.[]'"));
  CHECK(has(failure(folder.write("h.gz", gz)), "name it .txt.gz"));
}

TEST_CASE("lines that are no documents say what they are instead", "[tokenizer]") {
  const TemporaryFolder folder;
  const auto other_key =
      failure(folder.write("a.jsonl", R"({"url": "u", "content": "some text", "n": 1})"));
  CHECK(has(other_key, "the keys 'content', 'n', 'url'"));
  CHECK(has(other_key, R"(jq -c '{text: .["content"]}')"));
  CHECK(has(failure(folder.write("b.jsonl", R"({"text": null})")), "select(.text"));
  CHECK(has(failure(folder.write("c.jsonl", "[\n{\"text\": \"x\"}\n]\n")), "jq -c '.[]'"));
  CHECK(has(failure(folder.write("d.jsonl", R"([{"text": "x"}])")), "jq -c '.[]'"));
}

TEST_CASE("corpus.yaml resolves its paths and lists every problem", "[tokenizer]") {
  const TemporaryFolder folder;
  folder.write("en.txt", "x\n");
  folder.write("en.h.txt", "y\n");
  const auto yaml = folder.write("corpus.yaml",
                                 "languages:\n"
                                 "  en: {role: old, train: [en.txt], heldout: [./en.h.txt]}\n"
                                 "  id: {role: new}\n");
  const Corpus corpus = load_corpus(yaml);
  CHECK(corpus.languages.at("en").train.front() == (folder.path() / "en.txt").string());
  CHECK(corpus.languages.at("en").heldout.front() == (folder.path() / "en.h.txt").string());
  CHECK(corpus.with_role("old") == std::vector<std::string>{"en"});
  CHECK(corpus.with_role("new") == std::vector<std::string>{"id"});
  const auto broken = folder.write("broken.yaml",
                                   "languages:\n"
                                   "  en: {role: older, train: [none.txt]}\n"
                                   "  id: {role: new, heldout: [neither.txt]}\n");
  const auto message = message_of<ConfigError>([&] { load_corpus(broken); });
  CHECK(has(message, "languages.en.role"));
  CHECK(has(message, "none.txt"));
  CHECK(has(message, "neither.txt"));
  const auto missing =
      folder.write("missing.yaml", "languages: {en: {role: old, train: [none.txt]}}\n");
  CHECK(has(message_of<IoError>([&] { load_corpus(missing); }), "languages.en.train"));
  fs::create_symlink(folder.path() / "en.txt", folder.path() / "link.txt");
  const auto same = folder.write("same.yaml",
                                 "languages:\n"
                                 "  en: {role: old, train: [en.txt], heldout: [link.txt]}\n"
                                 "  id: {role: new, heldout: [en.h.txt, ./en.h.txt]}\n");
  const auto of_same = message_of<ConfigError>([&] { load_corpus(same); });
  CHECK(has(of_same, "link.txt"));
  CHECK(has(of_same, "is trained on, too"));
  CHECK(has(of_same, "is listed twice"));
}

TEST_CASE("no language is measured on what another one trains on", "[tokenizer]") {
  const TemporaryFolder folder;
  for (const char* name : {"en.txt", "de.txt", "id.txt", "id.h.txt"}) folder.write(name, "x\n");
  const auto yaml = folder.write("corpus.yaml",
                                 "languages:\n"
                                 "  de: {role: old, train: [de.txt, ./de.txt]}\n"
                                 "  en: {role: old, train: [en.txt], heldout: [./id.txt]}\n"
                                 "  id: {role: new, train: [id.txt], heldout: [id.h.txt]}\n");
  const auto message = message_of<ConfigError>([&] { load_corpus(yaml); });
  CHECK(has(message, "corpus.yaml:3: languages.en.heldout"));
  CHECK(has(message, "is trained on, too, as text of id"));
  CHECK(has(message, "corpus.yaml:2: languages.de.train"));
  CHECK(has(message, "is listed twice"));
  CHECK_FALSE(has(message, "id.h.txt"));
}

TEST_CASE("threads see every document of several files once", "[tokenizer]") {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 0; i < 20'000; ++i)
    lines += "{\"text\": \"some text, number " + std::to_string(i) + "\"}\n";
  const std::vector<fs::path> files{folder.write("a.jsonl", lines),
                                    folder.write("b.txt", "x\n\ny\n")};
  std::vector<std::string> expected;
  for (const Document& document : read_documents(files))
    expected.push_back(document.id + document.text);
  std::sort(expected.begin(), expected.end());
  for (const int num_threads : {1, 4}) {
    std::vector<std::vector<std::string>> seen(static_cast<size_t>(num_threads));
    for_each_document_unordered(files, num_threads, [&](Document&& document, size_t thread) {
      seen.at(thread).push_back(document.id + document.text);
    });
    std::vector<std::string> all;
    for (const auto& own : seen) all.insert(all.end(), own.begin(), own.end());
    std::sort(all.begin(), all.end());
    CHECK(all == expected);
  }
}

TEST_CASE("threads report the first broken line, and a file without documents", "[tokenizer]") {
  const TemporaryFolder folder;
  std::string lines;
  for (int i = 1; i <= 20'000; ++i)
    lines += i % 6'000 == 0 ? "{broken\n" : "{\"text\": \"some text as it may be\"}\n";
  const auto failure_of = [](const fs::path& file) {
    return message_of<FormatError>(
        [&] { for_each_document_unordered({file}, 4, [](Document&&, size_t) {}); });
  };
  const fs::path broken = folder.write("broken.jsonl", lines),
                 empty = folder.write("empty.txt", "\n\n");
  CHECK(has(failure(broken), "broken.jsonl:6000"));
  CHECK(failure_of(broken) == failure(broken));
  CHECK(failure_of(empty) == failure(empty));
}

TEST_CASE("held-out documents that are trained on are counted", "[tokenizer]") {
  const TemporaryFolder folder;
  const fs::path train = folder.write("train.txt", "one\ntwo\nthree\n");
  const fs::path more = folder.write("more.jsonl", R"({"text": "four"})"
                                                   "\n");
  const fs::path heldout = folder.write("heldout.txt", "two\nTwo\nfour\ntwo\nfive\n");
  const SharedDocuments counts = count_shared_documents({train, more}, {heldout});
  CHECK(counts.num_heldout == 5);
  CHECK(counts.num_shared == 3);
  CHECK(count_shared_documents({more}, {train}).num_shared == 0);
  CHECK(count_shared_documents({}, {train}).num_heldout == 3);
}

}  // namespace polygraft::tokenizer
