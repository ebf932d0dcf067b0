// tokenizer/chat_format.cpp: see chat_format.h.
#include "tokenizer/chat_format.h"

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace polygraft::tokenizer {
namespace {

/// A format, and what its templates contain and no other's do.
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
       {"Llama 3", true, "<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"}},
      {"[INST]", {"Mistral", true, "", "\n\n", "[INST] ", " [/INST]", "</s>"}},
      {"<|assistant|>",
       {"OLMo", true, "<|system|>\n", "\n", "<|user|>\n", "\n<|assistant|>\n", "<|endoftext|>"}}};
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
    format.default_system = default_system_of(text, format);
    return format;
  }
  throw NotBuiltError("this folder's chat template")
      .expected("one that writes <|im_start|>, <|start_header_id|>, [INST] or <|assistant|>")
      .hint("give the whole prompt, special tokens included, without --chat");
}

}  // namespace polygraft::tokenizer
