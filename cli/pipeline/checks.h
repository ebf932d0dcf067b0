// cli/pipeline/checks.h: what would else be found out after hours of a run, all at once before it.
#pragma once
#include <exception>
#include <string>
#include <vector>

#include "cli/pipeline/config.h"

namespace polygraft::cli {

/// Runs checks that throw, and throws what they found together.
class Checks {
 public:
  /// @return whether `check` threw no Error.
  template <class Check>
  bool run(const Check& check) {
    try {
      check();
      return true;
    } catch (const Error& error) {
      note(error);
      return false;
    }
  }
  /// @throws the one Error as it was; of several a ConfigError listing them, or an IoError where
  /// none is of a setting: files that are missing or broken.
  void throw_if_any(const std::string& where) const;

 private:
  void note(const Error& error);  // the one being handled
  std::exception_ptr first_;
  bool is_setting_wrong_ = false;  ///< or anything else that ends with another code than 1
  std::vector<std::string> messages_;
};

/// That a language can be added under its name, which its pack will have. @throws ConfigError.
void check_new_language(const std::string& language, const std::string& where);

/// That no file is text of the new language and of an old one.
void check_files_apart(const tokenizer::Corpus& corpus, Problems& problems);

/// That every language of the corpus has text to learn from and to be measured on.
void check_texts(const tokenizer::Corpus& corpus, const std::string& where);

/// That a text begins with a document that can be read; the rest is read when it is needed.
void check_first_document(const fs::path& file);
/// The same of every text of a corpus.
void check_first_documents(const tokenizer::Corpus& corpus, Checks& checks);

/// A sentence for each language with fewer held-out documents than the gate asks for, by which the
/// run would end with exit code 4. Reads no more documents than that.
std::vector<std::string> find_few_documents(const ResolvedPipeline& pipeline);

/// @throws ConfigError naming a pack of the base's, which a run would put its own onto.
void check_has_no_packs(const fs::path& base);

/// That the base can be extended as the config asks.
void check_base(const PipelineConfig& config);

/// That the base's tokenizer can be read and fits its vocabulary, and that the base can be asked
/// for chats where the config asks for them.
void check_tokenizer(const PipelineConfig& config);

/// That every line of task files is an item, no task has one twice, and every margin of the gate is
/// of a task or language that is measured.
void check_tasks(const PipelineConfig& config, Checks& checks);

/// That this machine and as many processes can train as the config asks.
void check_machine(const trainer::TrainConfig& train, const trainer::Processes& processes);

/// All memory of this host.
double host_memory_bytes();
/// Warns of training on the CPU that is estimated to take more than that. @throws ConfigError where
/// it is so much more that no error of the estimate explains it, unless only asked about.
void check_memory(const trainer::TrainConfig& train, double peak_bytes, bool is_dry_run);

/// That the run folder, or the first of its parents that is there, can be written to.
void check_writable(const fs::path& run_dir);

}  // namespace polygraft::cli
