// tests/tokenizer/chat_format_test.cpp: chat formats told by their templates' special tokens.
#include "tokenizer/chat_format.h"

#include <catch2/catch.hpp>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace polygraft::testing {
namespace {

using tokenizer::read_chat_format;

std::string ask(const std::string& chat_template, const std::string& system) {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", chat_template);
  return read_chat_format(folder.path()).prompt(system, "Why?");
}

tokenizer::ChatFormat read_config(const std::string& tokenizer_config) {
  const TemporaryFolder folder;
  folder.write("tokenizer_config.json", tokenizer_config);
  return read_chat_format(folder.path());
}

}  // namespace

TEST_CASE("each known format puts the question and the system text in their places",
          "[tokenizer]") {
  REQUIRE(ask("{{ '<|im_start|>' + m['role'] }}", "") ==
          "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n");
  REQUIRE(ask("{{ '<|im_start|>' + m['role'] }}", "Be brief.") ==
          "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
          "<|im_start|>assistant\n");
  REQUIRE(ask("{{ '<|start_header_id|>' }}", "Be brief.") ==
          "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
          "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n");
  REQUIRE(ask("{{ bos_token + '[INST] ' }}", "") == "[INST] Why? [/INST]");
  REQUIRE(ask("{{ bos_token + '[INST] ' }}", "Be brief.") == "[INST] Be brief.\n\nWhy? [/INST]");
  REQUIRE(ask("{{ '<|assistant|>\n' }}", "") == "<|user|>\nWhy?\n<|assistant|>\n");
}

TEST_CASE("a template may stand in tokenizer_config.json, alone or as one of several",
          "[tokenizer]") {
  REQUIRE(read_config(R"({"chat_template": "<|im_start|>"})").name == "ChatML");
  REQUIRE(read_config(R"({"chat_template": [{"name": "tool_use", "template": "[INST]"},
                                           {"name": "default", "template": "<|im_start|>"}]})")
              .name == "ChatML");
}

TEST_CASE("a system text that the template writes out is taken where none is given",
          "[tokenizer]") {
  const std::string with_default =
      "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are "
      "Qwen.<|im_end|>\\n' }}"
      "{% endif %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}";
  REQUIRE(ask(with_default, "") ==
          "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n"
          "<|im_start|>assistant\n");
  REQUIRE(ask(with_default, "Be brief.").starts_with("<|im_start|>system\nBe brief.<|im_end|>\n<"));
  const std::string given_alone =
      "{{ '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}";
  REQUIRE(ask(given_alone, "").starts_with("<|im_start|>user\n"));
}

TEST_CASE("no template, and an unknown one, are refused", "[tokenizer]") {
  REQUIRE_THROWS_AS(read_config("{}"), ConfigError);
  REQUIRE_THROWS_AS(ask("### Human: {{ content }}", ""), NotBuiltError);
}

}  // namespace polygraft::testing
