// expand/tokenizer_files.cpp: see tokenizer_files.h.
#include "expand/tokenizer_files.h"

#include "core/error.h"
#include "model/checkpoint/side_files.h"
#include "tokenizer/tokenizer_file.h"

namespace polygraft::expand {

namespace {

bool is_chat_template(const std::string& name) {
  return name == "chat_template.jinja" || name == "chat_template.json";
}

}  // namespace

void copy_tokenizer_files(const fs::path& from, const fs::path& to) {
  tokenizer::tokenizer_file_of(from);  // there must be one
  for (const fs::directory_entry& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (!model::is_tokenizer_file(name) && !is_chat_template(name)) continue;
    copy_bytes(entry.path(), to / name);
  }
}

}  // namespace polygraft::expand
