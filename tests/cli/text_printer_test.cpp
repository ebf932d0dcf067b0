// tests/cli/text_printer_test.cpp: what is printed of unfinished characters, and when.
#include "cli/text_printer.h"

#include <catch2/catch.hpp>
#include <sstream>

#include "core/json.h"
#include "tests/core/temporary_folder.h"

using namespace polygraft;
using namespace polygraft::cli;

namespace {

constexpr tokenizer::TokenId kA = 256;

/// Bytes as tokens 0 to 255, spelled "<0xE6>" as in Llama's tokenizer.json; then "a".
tokenizer::Tokenizer byte_tokenizer() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const char* const digits = "0123456789ABCDEF";
    vocab[std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">"] = byte;
  }
  vocab["a"] = kA;
  const Json json = {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"decoder",
       {{"type", "Sequence"}, {"decoders", {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}}}}},
      {"model",
       {{"type", "BPE"}, {"byte_fallback", true}, {"vocab", vocab}, {"merges", Json::array()}}}};
  const testing::TemporaryFolder folder;
  return tokenizer::Tokenizer::load(folder.write("tokenizer.json", json.dump()));
}

}  // namespace

TEST_CASE("a character of several byte tokens is printed once it is complete",
          "[cli][text_printer]") {
  const tokenizer::Tokenizer tokenizer = byte_tokenizer();
  std::ostringstream out;
  TextPrinter printer(tokenizer, &out);
  std::vector<std::string> after;
  for (const tokenizer::TokenId token : {kA, 0xE6, 0x97, 0xA5, kA, 0xF0, 0x9F}) {
    printer.add(token);
    after.push_back(out.str());
  }
  const std::string all =
      "a\u65E5"
      "a";
  CHECK(after == std::vector<std::string>{"a", "a", "a", "a\u65E5", all, all, all});
  printer.finish();
  CHECK(out.str() == all + "\uFFFD\uFFFD");
  TextPrinter silent(tokenizer, nullptr);
  silent.add(kA);
  silent.finish();
}

TEST_CASE("bytes that make no character take nothing back", "[cli][text_printer]") {
  const tokenizer::Tokenizer tokenizer = byte_tokenizer();
  std::ostringstream out;
  TextPrinter printer(tokenizer, &out);
  for (const tokenizer::TokenId token : {0xE6, 0x97, 0xA5, 0xE6, 0x97}) printer.add(token);
  CHECK(tokenizer.decode(std::vector<tokenizer::TokenId>{0xE6, 0x97, 0xA5, 0xE6}) ==
        "\uFFFD\uFFFD\uFFFD\uFFFD");  // all of the run
  CHECK(out.str() == "\u65E5");
  printer.finish();
  CHECK(out.str() == "\u65E5\uFFFD");
}
