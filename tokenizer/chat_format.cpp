// tokenizer/chat_format.cpp: see chat_format.h.
#include "tokenizer/chat_format.h"

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "tokenizer/tokenizer_config.h"

namespace polygraft::tokenizer {
namespace {

constexpr const char* kWithoutChat =
    "give the whole prompt, special tokens included, without --chat";

/// A format, and what its templates contain. Whether they write BOS differs within a format.
struct KnownFormat {
  const char* marker;
  ChatFormat format;
};

/// The formats of the supported families' chat models, in the order in which markers are looked
/// for.
const std::vector<KnownFormat>& known_formats() {
  static const std::vector<KnownFormat> formats = {
      {"<|im_start|>",
       {"ChatML", false, "<|im_start|>system\n", "<|im_end|>\n", "<|im_start|>user\n",
        "<|im_end|>\n<|im_start|>assistant\n", "<|im_end|>"}},
      {"<|start_header_id|>",
       {"Llama 3", false, "<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"}},
      {"[INST]", {"Mistral", false, "", "\n\n", "[INST] ", " [/INST]", "</s>"}},
      {"<|assistant|>",
       {"OLMo", false, "<|system|>\n", "\n", "<|user|>\n", "\n<|assistant|>\n", "<|endoftext|>"}}};
  return formats;
}

/// A template, or the one named "default" of several.
std::string template_of(const Json& entry, const std::filesystem::path& file) {
  if (entry.is_string()) return entry.get<std::string>();
  if (!entry.is_array()) return "";
  for (const Json& named : entry) {
    if (!named.is_object() || json_get_or<std::string>(named, "name", "", file) != "default") {
      continue;
    }
    return json_get<std::string>(named, "template", file);
  }
  return "";
}

std::string read_template(const std::filesystem::path& model_folder) {
  const std::filesystem::path jinja = model_folder / "chat_template.jinja";
  if (std::filesystem::exists(jinja)) return read_file(jinja);
  const std::filesystem::path file = model_folder / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return "";
  const Json json = read_json(file);
  const auto entry = json.find("chat_template");
  return entry == json.end() ? "" : template_of(*entry, file);
}

/// "" where tokenizer_config.json names none.
std::string configured_token(const std::filesystem::path& model_folder, const char* key) {
  const std::filesystem::path file = model_folder / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return "";
  const Json token = json_get_or<Json>(read_json(file), key, Json(), file);
  return token.is_null() ? "" : token_text(token, file);
}

/// By its name, or spelled out. One that is a mark of the format's own is no sign.
bool writes_bos(const std::string& chat_template, const ChatFormat& format,
                const std::filesystem::path& model_folder) {
  if (chat_template.find("bos_token") != std::string::npos) return true;
  const std::string bos = configured_token(model_folder, "bos_token");
  if (bos.empty() || bos == configured_token(model_folder, "eos_token")) return false;
  const bool is_mark = format.prompt("system", "question").find(bos) != std::string::npos;
  return !is_mark && chat_template.find(bos) != std::string::npos;
}

/// Other formats ask with OLMo's marks but end each turn with a token, as Zephyr (TinyLlama) and
/// Phi-3 do. @throws NotBuiltError unless the question is written with nothing behind it.
void require_open_turns(const std::string& chat_template) {
  constexpr std::string_view kUser = "<|user|>";
  const size_t start = chat_template.find(kUser);
  if (start != std::string::npos) {
    const size_t after = start + kUser.size();
    const std::string question =
        chat_template.substr(after, chat_template.find("}}", after) - after);
    if (question.find("eos_token") == std::string::npos &&
        question.find("</s>") == std::string::npos && question.find("<|") == std::string::npos) {
      return;
    }
  }
  throw NotBuiltError("a chat template that writes <|assistant|>, but not as OLMo's does")
      .expected("'<|user|>\\n' + the question, and no token that ends it")
      .hint(kWithoutChat);
}

/// Line ends as a text has them: in a Jinja string they may be spelled "\\n".
std::string with_line_ends(std::string text) {
  for (size_t at = text.find("\\n"); at != std::string::npos; at = text.find("\\n", at + 1)) {
    text.replace(at, 2, "\n");
  }
  return text;
}

/// The system text that a template writes out: all that stands between its marks is one string, and
/// none of it is put in from a message.
std::string default_system_of(const std::string& chat_template, const ChatFormat& format) {
  if (format.before_system.empty()) return "";
  const std::string text = with_line_ends(chat_template);
  for (size_t at = text.find(format.before_system); at != std::string::npos;
       at = text.find(format.before_system, at + 1)) {
    const size_t start = at + format.before_system.size();
    const size_t end = text.find(format.after_system, start);
    if (end == std::string::npos) break;
    const std::string between = text.substr(start, end - start);
    const bool is_one_string = between.find_first_of("'\"{}") == std::string::npos;
    if (!between.empty() && is_one_string) return between;
  }
  return "";
}

}  // namespace

std::string ChatFormat::prompt(const std::string& system, const std::string& question) const {
  return opening(system) + question + after_user;
}

std::string ChatFormat::opening(const std::string& system) const {
  const std::string& text = system.empty() ? default_system : system;
  if (text.empty()) return before_user;
  if (before_system.empty()) return before_user + text + after_system;  // in the user's turn
  return before_system + text + after_system + before_user;
}

ChatFormat read_chat_format(const std::filesystem::path& model_folder) {
  const std::string text = read_template(model_folder);
  if (text.empty()) {
    throw ConfigError(model_folder.string(), "has no chat template")
        .expected("chat_template.jinja, or chat_template in tokenizer_config.json")
        .hint("a base model continues text: leave out --chat");
  }
  for (const KnownFormat& known : known_formats()) {
    if (text.find(known.marker) == std::string::npos) continue;
    ChatFormat format = known.format;
    if (format.name == "OLMo") require_open_turns(text);
    format.starts_with_bos = writes_bos(text, format, model_folder);
    format.default_system = default_system_of(text, format);
    return format;
  }
  throw NotBuiltError("this folder's chat template")
      .expected("one that writes <|im_start|>, <|start_header_id|>, [INST] or <|assistant|>")
      .hint(kWithoutChat);
}

}  // namespace polygraft::tokenizer
