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

const std::string kOlmo =
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ '<|user|>\\n' + m['content'] + '\\n' }}{% else %}"
    "{{ '<|assistant|>\\n' + m['content'] + eos_token }}{% endif %}{% endfor %}"
    "{{ '<|assistant|>\\n' }}";

/// Whether a prompt starts with BOS, by the template and what tokenizer_config.json says besides.
bool starts_with_bos(const std::string& chat_template, const std::string& config = "{}") {
  const TemporaryFolder folder;
  folder.write("chat_template.jinja", chat_template);
  folder.write("tokenizer_config.json", config);
  return read_chat_format(folder.path()).starts_with_bos;
}

}  // namespace

TEST_CASE("a prompt starts with BOS where its template writes it", "[tokenizer]") {
  CHECK(starts_with_bos(kOlmo));
  CHECK(starts_with_bos("{{ bos_token + '<|im_start|>' }}"));
  CHECK_FALSE(starts_with_bos("{{ '<|im_start|>' }}"));
  CHECK_FALSE(starts_with_bos("{{ '[INST] ' }}"));
  CHECK(starts_with_bos("{{ '<s>[INST] ' }}", R"({"bos_token": "<s>"})"));
  CHECK(starts_with_bos("{{ '<s>[INST] ' }}", R"({"bos_token": {"content": "<s>"}})"));
  CHECK_FALSE(starts_with_bos("{{ '<|im_start|>' }}", R"({"bos_token": "<|im_start|>"})"));
  CHECK_FALSE(
      starts_with_bos("{{ '[INST] ' + '<e>' }}", R"({"bos_token": "<e>", "eos_token": "<e>"})"));
}

TEST_CASE("formats with OLMo's marks and other turns are refused", "[tokenizer]") {
  for (const char* end : {"eos_token", "'</s>'", "'<|end|>\\n'"}) {
    CAPTURE(end);
    const std::string zephyr = std::string("{{ '<|user|>\\n' + m['content'] + ") + end +
                               " }}{{ '<|assistant|>\\n' + m['content'] + eos_token }}";
    CHECK_THROWS_AS(ask(zephyr, ""), NotBuiltError);
  }
  CHECK_THROWS_AS(ask("{{ '<|' + m['role'] + '|>' }}{{ '<|assistant|>' }}", ""), NotBuiltError);
}

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
  REQUIRE(ask(kOlmo, "") == "<|user|>\nWhy?\n<|assistant|>\n");
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
