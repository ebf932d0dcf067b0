// tokenizer/chat_format.h: one question and its system text as a chat model's prompt. A folder's
// chat template is a Jinja program; it is not run: its format is recognised by the special tokens
// that it writes, and one that is not recognised is refused. A system text that it writes out where
// none is given is taken over; what else it adds of its own (tools, the date) is left out.
#pragma once
#include <filesystem>
#include <string>

#include "tokenizer/tokenizer.h"

namespace polygraft::tokenizer {

struct ChatFormat {
  std::string name;                         ///< "ChatML", for the log
  bool starts_with_bos = false;             ///< the template writes BOS before prompt()
  std::string before_system, after_system;  ///< empty: a system text goes before the question
  std::string before_user, after_user;
  std::string end;                  ///< the token that ends an answer
  std::string default_system = {};  ///< the template's own, where none is given

  /// @param system empty: the default.
  std::string prompt(const std::string& system, const std::string& question) const;
  /// All of it that stands before the question.
  std::string opening(const std::string& system) const;
};

/// From chat_template.jinja, or `chat_template` in tokenizer_config.json.
/// @throws ConfigError when the folder has no chat template; NotBuiltError for one of no known
/// format.
ChatFormat read_chat_format(const std::filesystem::path& model_folder);

}  // namespace polygraft::tokenizer
