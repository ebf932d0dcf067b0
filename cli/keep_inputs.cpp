// cli/keep_inputs.cpp: see keep_inputs.h.
#include "cli/keep_inputs.h"

#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string_view>

#include "cli/earlier_output.h"
#include "cli/language_files.h"
#include "cli/pipeline/pipeline.h"
#include "core/file.h"
#include "core/overlap.h"
#include "core/text.h"
#include "eval/results_files.h"

namespace polygraft::cli {
namespace {

constexpr const char* kWholeFolders[] = {"model", "base", "expanded", "tokenizer"};
constexpr const char* kOtherInputs[] = {"against",  "text",    "guard", "corpus",
                                        "plan",     "profile", "tasks", "config",
                                        "pipeline", "new",     "old",   "heldout"};
constexpr const char* kResults[] = {"baseline", "candidate", "repeat-baseline"};
constexpr const char* kWrittenFiles[] = {"json", "html", "markdown", "junit", "write-baseline"};

/// The files of "LANG=one,other", "LANG=one" or "one" that exist.
void append_files(const std::string& value, std::vector<fs::path>& files) {
  for (const std::string& file : parse_language_files(value).files) {
    if (fs::exists(file)) files.emplace_back(file);
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
    const std::vector<fs::path> texts = files_of(tokenizer::load_corpus(corpus));
    files.insert(files.end(), texts.begin(), texts.end());
  }
  return files;
}

/// What a comparison reads, and what lies in its folders under the names of such files.
std::vector<fs::path> compared_files(const Arguments& arguments) {
  std::vector<fs::path> files = existing(arguments, kResults);
  for (const fs::path& operand : std::vector(files)) {
    for (fs::path& file : eval::result_files(operand)) files.push_back(std::move(file));
  }
  return files;
}

/// What a run consists of; its reports are made again.
std::vector<fs::path> run_parts(const Arguments& arguments) {
  std::vector<fs::path> parts;
  for (const std::string& run_dir : arguments.values_of("run-dir")) {
    for (const char* part : kRunParts)
      if (fs::exists(fs::path(run_dir) / part)) parts.push_back(fs::path(run_dir) / part);
  }
  return parts;
}

struct Output {
  std::string option;  ///< "--json"
  fs::path path;
};

void check_folder(const Output& output) {
  const fs::path folder = output.path.has_parent_path() ? output.path.parent_path() : ".";
  if (output.path.empty() || !fs::is_directory(folder)) {
    throw ConfigError(output.option, "names a file in a folder that does not exist")
        .found(concat("'", output.path.string(), "'"))
        .hint("make the folder first");
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    throw io_error(output.path, "create the file", errno);
}

/// @param also_fits "a folder" where one may be replaced.
void check_kind(const Output& output, const std::string& also_fits = "") {
  const std::string kind = irregular_kind(output.path);
  if (kind.empty() || kind == also_fits) return;
  throw ConfigError(output.option, concat("cannot replace ", kind, " by a file"))
      .found(concat("'", output.path.string(), "'"))
      .hint("name a file, new or to be replaced; only --json - goes to standard output");
}

/// How the files begin that these options write; what begins otherwise is somebody's own.
struct ReportForm {
  std::string_view option, beginning, words;
};
constexpr ReportForm kReportForms[] = {
    {"--json", "{\n  \"", "{, a new line and a key"},
    {"--html", "<!doctype html>", "<!doctype html>"},
    {"--markdown", "# Comparison", "# Comparison"},
    {"--junit", "<?xml ", "<?xml "},
    {"--write-baseline", "{\"polygraft_baseline\"", "{\"polygraft_baseline\""}};

void check_is_report(const Output& output) {
  for (const auto& [option, beginning, words] : kReportForms) {
    if (option != output.option || !fs::exists(output.path)) continue;
    std::string found(beginning.size(), '\0');
    std::ifstream file(output.path, std::ios::binary);
    file.read(found.data(), static_cast<std::streamsize>(found.size()));
    found.resize(static_cast<size_t>(file.gcount()));
    if (found.empty() || found == beginning) continue;
    throw ConfigError(output.option, "names a file that is no earlier report")
        .expected(concat("one that begins with ", words, ", or none"))
        .found(output.path.string())
        .hint("name another file, or remove this one");
  }
}

std::vector<Output> written_files(const Arguments& arguments) {
  std::vector<Output> outputs;
  for (const char* option : kWrittenFiles) {
    const auto value = arguments.optional_text(option);
    const bool is_stdout = value && *value == "-";
    if (!value || (is_stdout && option == std::string_view("json"))) continue;
    const Output& output = outputs.emplace_back(concat("--", option), *value);
    if (is_stdout) {
      throw ConfigError(output.option, "cannot go to standard output")
          .hint("name a file; only --json - is standard output");
    }
    check_output_file(output.option, output.path);
  }
  return outputs;
}

/// What the last one wrote would be all that is left.
void refuse_same(const std::vector<Output>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (!is_same(outputs[i].path, outputs[k].path)) continue;
      throw ConfigError(outputs[i].option, concat("names the same file as ", outputs[k].option))
          .found(concat("'", outputs[i].path.string(), "'"))
          .hint("give each a file of its own");
    }
  }
}

}  // namespace

void check_output_file(const std::string& option, const fs::path& file) {
  check_folder({option, file});
  check_kind({option, file});
}

std::vector<fs::path> files_of(const tokenizer::Corpus& corpus) {
  std::vector<fs::path> files;
  for (const auto& [language, texts] : corpus.languages) {
    for (const auto* list : {&texts.train, &texts.heldout})
      files.insert(files.end(), list->begin(), list->end());
  }
  return files;
}

void refuse_replacing(const fs::path& output, const fs::path& input) {
  if (fs::exists(output) && (is_same(output, input) || lies_in(input, output)))
    refuse_overlap(output, input);
}

void keep_inputs(const Arguments& arguments) {
  std::vector<Output> outputs = written_files(arguments);
  for (const std::string& output : arguments.values_of("output")) {
    if (output.empty()) continue;  // said where it is asked for
    outputs.push_back({"-o", output});
    check_kind(outputs.back(), "a folder");
  }
  refuse_same(outputs);
  std::erase_if(outputs, [](const Output& output) { return !fs::exists(output.path); });
  if (outputs.empty()) return;
  std::vector<fs::path> folders = existing(arguments, kWholeFolders);
  if (arguments.takes_several("pack")) {  // folders; one alone is a pack's name
    for (const std::string& pack : arguments.values_of("pack")) append_files(pack, folders);
  }
  for (fs::path& part : run_parts(arguments)) folders.push_back(std::move(part));
  std::vector<fs::path> inputs = existing(arguments, kOtherInputs);
  for (const fs::path& file : corpus_files(arguments)) inputs.push_back(file);
  for (const fs::path& file : compared_files(arguments)) inputs.push_back(file);
  for (const Output& output : outputs) {
    for (const fs::path& input : inputs) refuse_replacing(output.path, input);
    for (const fs::path& folder : folders) refuse_overlap(output.path, folder);
    check_is_report(output);
    if (arguments.force()) require_earlier_output(output.option, output.path);
  }
}

void keep_inputs(const Arguments& arguments, const std::vector<fs::path>& inputs) {
  for (const Output& output : written_files(arguments)) {
    if (!fs::exists(output.path)) continue;
    for (const fs::path& input : inputs)
      if (!input.empty()) refuse_overlap(output.path, input);
  }
}

}  // namespace polygraft::cli
