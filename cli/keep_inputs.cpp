// cli/keep_inputs.cpp: see keep_inputs.h.
#include "cli/keep_inputs.h"

#include "core/overlap.h"
#include "core/text.h"
#include "tokenizer/corpus.h"

namespace polygraft::cli {
namespace {

constexpr const char* kWholeFolders[] = {"model", "base", "expanded", "tokenizer"};
constexpr const char* kOtherInputs[] = {
    "against",  "text", "guard", "corpus",  "plan",     "profile",   "tasks",          "config",
    "pipeline", "new",  "old",   "heldout", "baseline", "candidate", "repeat-baseline"};
constexpr const char* kWrittenFiles[] = {"json", "html", "markdown", "junit"};

/// The files of "LANG=one,other", "LANG=one" or "one" that exist.
void append_files(const std::string& value, std::vector<fs::path>& files) {
  const size_t equals = value.find('=');
  const bool is_whole = fs::exists(value) || equals == std::string::npos;
  for (const std::string& file : split(is_whole ? value : value.substr(equals + 1), ',')) {
    if (!file.empty() && fs::exists(file)) files.emplace_back(file);
  }
}

template <size_t kCount>
std::vector<fs::path> existing(const Arguments& arguments, const char* const (&options)[kCount]) {
  std::vector<fs::path> files;
  for (const char* option : options) {
    for (const std::string& value : arguments.values_of(option)) append_files(value, files);
  }
  return files;
}

std::vector<fs::path> corpus_files(const Arguments& arguments) {
  std::vector<fs::path> files;
  for (const std::string& corpus : arguments.values_of("corpus")) {
    if (!fs::is_regular_file(corpus)) continue;
    for (const auto& [language, texts] : tokenizer::load_corpus(corpus).languages) {
      for (const auto* list : {&texts.train, &texts.heldout})
        files.insert(files.end(), list->begin(), list->end());
    }
  }
  return files;
}

std::vector<fs::path> written(const Arguments& arguments) {
  std::vector<fs::path> files;
  for (const char* option : kWrittenFiles) {
    const auto value = arguments.optional_text(option);
    if (!value || *value == "-") continue;
    const fs::path file = *value;
    const fs::path folder = file.parent_path();
    if (file.empty() || (!folder.empty() && !fs::is_directory(folder))) {
      throw ConfigError(concat("--", option), "names a file in a folder that does not exist")
          .found(concat("'", *value, "'"))
          .hint("make the folder first");
    }
    files.push_back(file);
  }
  return files;
}

}  // namespace

void refuse_replacing(const fs::path& output, const fs::path& input) {
  if (fs::exists(output) && (is_same(output, input) || lies_in(input, output)))
    refuse_overlap(output, input);
}

void keep_inputs(const Arguments& arguments) {
  std::vector<fs::path> outputs = written(arguments);
  for (const std::string& output : arguments.values_of("output")) outputs.emplace_back(output);
  std::erase_if(outputs, [](const fs::path& output) { return !fs::exists(output); });
  if (outputs.empty()) return;
  std::vector<fs::path> folders = existing(arguments, kWholeFolders);
  if (arguments.takes_several("pack")) {  // folders; one alone is a pack's name
    for (const std::string& pack : arguments.values_of("pack")) append_files(pack, folders);
  }
  std::vector<fs::path> inputs = existing(arguments, kOtherInputs);
  for (const fs::path& file : corpus_files(arguments)) inputs.push_back(file);
  for (const fs::path& output : outputs) {
    for (const fs::path& input : inputs) refuse_replacing(output, input);
    for (const fs::path& folder : folders) refuse_overlap(output, folder);
  }
}

}  // namespace polygraft::cli
