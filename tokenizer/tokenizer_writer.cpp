// tokenizer/tokenizer_writer.cpp: see tokenizer_writer.h.
#include "tokenizer/tokenizer_writer.h"

#include <array>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_splice.h"
#include "tokenizer/pre_tokenizer.h"

namespace polygraft::tokenizer {
namespace {

/// The contraction, word, number, punctuation and white-space rules of Qwen2 and of Llama 3, which
/// differ in how many digits stand together.
constexpr const char* kBeforeNumbers = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
constexpr const char* kAfterNumbers = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

std::string pattern_text(const std::string& name) {
  if (name == "gpt2") return kGpt2Pattern;
  if (name == "qwen2") return concat(kBeforeNumbers, R"(\p{N})", kAfterNumbers);
  if (name == "llama3") return concat(kBeforeNumbers, R"(\p{N}{1,3})", kAfterNumbers);
  throw ConfigError("pattern", concat("unknown pre-tokenizer pattern '", name, "'"))
      .expected("gpt2, qwen2 or llama3");
}

std::string quoted(const std::string& text) { return Json(text).dump(); }

std::vector<std::string> vocabulary_members(const VocabularyAdditions& additions) {
  std::vector<std::string> members;
  for (const auto& [token, id] : additions.tokens)
    members.push_back(concat(quoted(token), ": ", id));
  return members;
}

bool writes_merges_as_text(std::string_view json, const fs::path& where) {
  const Json merges = parse_json(json, where)["model"]["merges"];
  return !merges.empty() && merges[0].is_string();
}

std::vector<std::string> special_tokens(const NewTokenizerOptions& options) {
  for (const auto& [name, token] :
       {std::pair{"bos_token", options.bos_token}, std::pair{"eos_token", options.eos_token}}) {
    if (token.empty()) throw ConfigError(name, "the special token is the empty string");
  }
  std::vector<std::string> tokens{options.bos_token};
  if (options.eos_token != options.bos_token) tokens.push_back(options.eos_token);
  return tokens;
}

OrderedJson added_token(const std::string& content) {
  return {{"content", content}, {"single_word", false}, {"lstrip", false},
          {"rstrip", false},    {"normalized", false},  {"special", true}};
}

OrderedJson byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", false},
          {"use_regex", use_regex}};
}

OrderedJson pre_tokenizer(const std::string& pattern) {
  const OrderedJson split = {{"type", "Split"},
                             {"pattern", {{"Regex", pattern_text(pattern)}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", OrderedJson::array({split, byte_level(/*use_regex=*/false)})}};
}

OrderedJson empty_model() {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", OrderedJson::object()},
          {"merges", OrderedJson::array()}};
}

}  // namespace

std::string add_to_tokenizer_json(std::string_view json, const VocabularyAdditions& additions,
                                  const fs::path& where) {
  const bool as_text = writes_merges_as_text(json, where);
  std::vector<std::string> merges;
  for (const auto& [left, right] : additions.merges) {
    merges.push_back(as_text ? quoted(concat(left, " ", right))
                             : concat("[", quoted(left), ", ", quoted(right), "]"));
  }
  const std::string with_tokens =
      append_json_elements(json, {"model", "vocab"}, vocabulary_members(additions), where);
  return append_json_elements(with_tokens, {"model", "merges"}, merges, where);
}

std::string add_to_vocab_json(std::string_view json, const VocabularyAdditions& additions,
                              const fs::path& where) {
  return append_json_elements(json, {}, vocabulary_members(additions), where);
}

std::string add_to_merges_txt(std::string_view text, const VocabularyAdditions& additions) {
  std::string result(text);
  if (!result.empty() && result.back() != '\n') result += '\n';
  for (const auto& [left, right] : additions.merges) result += concat(left, " ", right, "\n");
  return result;
}

std::string empty_tokenizer_json(const NewTokenizerOptions& options) {
  OrderedJson added = OrderedJson::array();
  VocabularyAdditions additions;
  for (const std::string& token : special_tokens(options)) {
    const auto id = static_cast<TokenId>(additions.tokens.size());
    OrderedJson entry = {{"id", id}};
    entry.update(added_token(token));
    added.push_back(entry);
    additions.tokens.emplace_back(token, id);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    additions.tokens.emplace_back(alphabet_character(static_cast<uint8_t>(byte)),
                                  static_cast<TokenId>(additions.tokens.size()));
  }
  const OrderedJson root = {
      {"version", "1.0"},          {"truncation", nullptr},
      {"padding", nullptr},        {"added_tokens", added},
      {"normalizer", nullptr},     {"pre_tokenizer", pre_tokenizer(options.pattern)},
      {"post_processor", nullptr}, {"decoder", byte_level(/*use_regex=*/true)},
      {"model", empty_model()}};
  return add_to_tokenizer_json(root.dump(2) + "\n", additions, "tokenizer.json");
}

std::string tokenizer_config_json(const NewTokenizerOptions& options) {
  OrderedJson decoder = OrderedJson::object();
  for (const std::string& token : special_tokens(options)) {
    decoder[std::to_string(decoder.size())] = added_token(token);
  }
  const OrderedJson root = {{"added_tokens_decoder", decoder},
                            {"bos_token", options.bos_token},
                            {"clean_up_tokenization_spaces", false},
                            {"eos_token", options.eos_token},
                            {"tokenizer_class", "PreTrainedTokenizerFast"}};
  return root.dump(2) + "\n";
}

}  // namespace polygraft::tokenizer
