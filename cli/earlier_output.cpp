// cli/earlier_output.cpp: see earlier_output.h.
#include "cli/earlier_output.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "model/checkpoint/side_files.h"

namespace polygraft::cli {
namespace {

constexpr std::string_view kOwnFolders = "polygraft.";  // a model's: what the base was

/// Beside such a file others may lie, as a model's licence does.
bool marks_an_output(const std::string& name) {
  return name == "config.json" || name == "pack.json" || model::is_tokenizer_file(name) ||
         (name.starts_with("results_") && name.ends_with(".json")) ||
         (name.starts_with("cloze_") && name.ends_with(".jsonl")) ||
         name.ends_with(".heldout.jsonl");
}

ConfigError foreign(const std::string& option, const fs::path& found) {
  return ConfigError(option, "names a folder that no command of polygraft has written")
      .expected("a model, a pack, a tokenizer, results or split texts, an empty folder, or none")
      .found(found.string())
      .hint("name another folder, or remove this one yourself; nothing in it was touched");
}

}  // namespace

void require_earlier_output(const std::string& option, const fs::path& output) {
  std::error_code ignored;
  if (!fs::is_directory(output, ignored)) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(output, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_folder = entry.is_directory(ignored) && !entry.is_symlink(ignored);
    if (is_folder && !name.starts_with(kOwnFolders)) throw foreign(option, entry.path());
    files.push_back(entry.path());
  }
  if (files.empty()) return;
  const bool is_marked = std::any_of(files.begin(), files.end(), [](const fs::path& file) {
    return marks_an_output(file.filename().string());
  });
  if (!is_marked) throw foreign(option, *std::min_element(files.begin(), files.end()));
}

void require_earlier_run(const fs::path& run_dir, const std::string& mark,
                         const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    // In this order: a run that another process begins just now leaves the mark first.
    if (!fs::exists(run_dir / name) || fs::exists(run_dir / mark)) continue;
    throw ConfigError("run_dir", "holds something that is no run of polygraft's")
        .found((run_dir / name).string())
        .hint("name another folder; nothing in this one was touched");
  }
}

void remove_earlier_reports(const Arguments& arguments, const std::vector<std::string>& options) {
  for (const std::string& option : options) {
    const fs::path file = arguments.optional_text(option).value_or("-");
    std::error_code error;
    if (file == "-" || !fs::is_regular_file(file, error)) continue;
    fs::remove(file, error);
    if (error) throw io_error(file, "remove the earlier report", error.value());
  }
}

}  // namespace polygraft::cli
