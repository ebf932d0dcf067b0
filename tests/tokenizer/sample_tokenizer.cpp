// tests/tokenizer/sample_tokenizer.cpp: see sample_tokenizer.h.
#include "sample_tokenizer.h"

#include <catch2/catch.hpp>

#include "core/json.h"
#include "core/random.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"

namespace polygraft::tokenizer {

Json sample_json(const std::vector<std::string>& merges) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[std::string(alphabet_character(static_cast<uint8_t>(byte)))] = byte;
  }
  for (const std::string& merge : merges) {
    const auto halves = split(merge, ' ');
    vocab.emplace(halves[0] + halves[1], vocab.size());
  }
  const Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return {
      {"version", "1.0"},      {"added_tokens", Json::array()},
      {"normalizer", nullptr}, {"pre_tokenizer", byte_level},
      {"decoder", byte_level}, {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

std::string byte_token(int byte) {
  const char* const digits = "0123456789ABCDEF";
  return concat("<0x", digits[byte / 16], digits[byte % 16], ">");
}

Json character_json(const std::vector<std::string>& characters,
                    const std::vector<std::string>& merges) {
  Json vocab = {{"<unk>", 0}};
  for (int byte = 0; byte < 256; ++byte) {
    vocab[byte_token(byte)] = byte + 1;
  }
  for (const std::string& character : characters) vocab.emplace(character, vocab.size());
  for (const std::string& merge : merges) {
    std::string joined = merge;
    vocab.emplace(joined.erase(merge.find(' '), 1), vocab.size());
  }
  const Json prepend = {{"type", "Prepend"}, {"prepend", "\u2581"}};
  const Json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  const Json back = {{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  const Json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", {{"type", "Sequence"}, {"normalizers", {prepend, replace}}}},
          {"pre_tokenizer", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders", {back, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}, strip}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocab},
            {"merges", merges}}}};
}

std::string invented_text(uint64_t seed, const std::string& letters) {
  RandomStream random(seed, "language");
  std::vector<std::string> words(120);
  for (std::string& word : words) {
    for (uint64_t i = 0, length = 2 + random.below(7); i < length; ++i) {
      word += letters[random.below(letters.size())];
    }
  }
  std::string text;
  for (int line = 0; line < 150; ++line) {
    for (int i = 0; i < 9; ++i) text += (i > 0 ? " " : "") + words[random.below(words.size())];
    text += "\n";
  }
  return text;
}

Json added_token_json(int id, const std::string& content, const Json& flags) {
  Json token = {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", true}};
  token.update(flags);
  return token;
}

Tokenizer load_json(const Json& json) {
  const TemporaryFolder folder;
  return Tokenizer::load(folder.write("tokenizer.json", json.dump()));
}

std::vector<std::string> tokens_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const TokenId id : tokenizer.encode(text)) tokens.push_back(tokenizer.token(id));
  return tokens;
}

bool has(const std::string& message, std::string_view part) {
  UNSCOPED_INFO(message);
  return message.find(part) != std::string::npos;
}

}  // namespace polygraft::tokenizer
