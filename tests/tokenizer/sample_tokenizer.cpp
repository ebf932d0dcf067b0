// tests/tokenizer/sample_tokenizer.cpp: see sample_tokenizer.h.
#include "sample_tokenizer.h"

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

}  // namespace polygraft::tokenizer
