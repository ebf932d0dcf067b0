// tests/tokenizer/extend_added_tokens_test.cpp: extending tokenizers with added and unknown tokens.
#include <catch2/catch.hpp>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "extension_setting.h"

namespace polygraft::tokenizer {

TEST_CASE("vocab.json that has added tokens already gets them once", "[tokenizer]") {
  const ExtensionSetting setting;
  Json json = read_json(setting.source / "tokenizer.json");
  const size_t size = json["model"]["vocab"].size();
  json["added_tokens"].push_back(added_token_json(static_cast<TokenId>(size), "<|im|>"));
  Json vocab = json["model"]["vocab"];
  vocab["<|im|>"] = size;
  setting.folder.write("source/tokenizer.json", json.dump());
  setting.folder.write("source/vocab.json", vocab.dump());
  setting.folder.write("source/merges.txt", "#version: 0.2\n");
  setting.extend(10);
  const Json grown = read_json(setting.target / "vocab.json");  // refuses a key that stands twice
  CHECK(grown["<|im|>"] == size);
  CHECK(grown.size() == size + 11);
}

TEST_CASE("an added token that would become a piece is refused", "[tokenizer]") {
  const ExtensionSetting setting;
  const Json source = read_json(setting.source / "tokenizer.json");
  const auto id = static_cast<TokenId>(source["model"]["vocab"].size());
  const auto extend_with = [&](const Json& token, bool ignore_merges) {
    Json json = source;
    json["model"]["ignore_merges"] = ignore_merges;
    json["added_tokens"].push_back(token);
    setting.folder.write("source/tokenizer.json", json.dump());
    fs::remove_all(setting.target);
    return setting.extend(5).merges_added;
  };
  const Json word = added_token_json(id, "covid", {{"single_word", true}});
  CHECK(message_of<NotBuiltError>([&] { extend_with(word, true); }).find("'covid'") !=
        std::string::npos);
  CHECK_FALSE(fs::exists(setting.target));
  CHECK(extend_with(word, false) == 5);
  CHECK(extend_with(added_token_json(id, "covid"), true) == 5);
}

TEST_CASE("text with bytes that the base calls unknown teaches what stands between them",
          "[tokenizer]") {
  const ExtensionSetting setting;
  Json json = read_json(setting.source / "tokenizer.json");
  const std::string lacking = "\u00C5";  // the alphabet's character for the byte C5
  const TokenId id = json["model"]["vocab"][lacking];
  json["model"]["vocab"].erase(lacking);
  json["model"]["vocab"]["<unk>"] = id;
  json["model"]["unk_token"] = "<unk>";
  setting.folder.write("source/tokenizer.json", json.dump());
  std::string text;
  for (int i = 0; i < 40; ++i) text += "ab\u017Eena ab\u017Eeny\n";  // C5 BE
  setting.folder.write("new.txt", text);
  const ExtendReport report = setting.extend(3);
  CHECK(report.merges_added == 3);
  CHECK(report.unreachable == 0);
}

}  // namespace polygraft::tokenizer
