// cli/command.h: what a subcommand is: its name, its help, its options, and the function that runs
// it.
#pragma once
#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json_fwd.h"
#include "core/settings.h"

namespace polygraft::cli {

namespace po = boost::program_options;

/// The parsed command line of one subcommand. Options that every subcommand has are members.
class Arguments {
 public:
  explicit Arguments(po::variables_map values, std::string usage = "",
                     std::set<std::string> operands = {})
      : values_(std::move(values)), usage_(std::move(usage)), operands_(std::move(operands)) {}

  /// @throws ConfigError naming the option when it is missing.
  std::string text(const std::string& option) const;
  /// @throws ConfigError when it is missing or empty.
  fs::path path(const std::string& option) const;
  std::optional<std::string> optional_text(const std::string& option) const;
  std::vector<std::string> texts(const std::string& option) const;  ///< empty when missing
  /// What was given for a text option, of one value or of several; of one that the command does not
  /// have nothing.
  std::vector<std::string> values_of(const std::string& option) const;
  /// Whether an option was given that may be given again.
  bool takes_several(const std::string& option) const;
  int64_t integer(const std::string& option) const;
  double number(const std::string& option) const;
  bool flag(const std::string& option) const;

  /// The option's file with every --set applied. @throws ConfigError when the option is missing.
  ConfigSource config(const std::string& option = "config") const;
  /// The same, or an empty document with every --set when --config is missing.
  ConfigSource config_or_defaults() const;
  /// What relative paths of --config and --set are taken from: the file's folder; without a file
  /// the working folder.
  fs::path config_folder() const;

  fs::path output() const {
    return path("output");
  }  ///< -o, required. @throws ConfigError when missing
  bool force() const { return flag("force"); }
  bool dry_run() const { return flag("dry-run"); }

  /// Writes `json` where --json says: stdout for "-", a file otherwise, nowhere when it was not
  /// given.
  void emit_json(const Json& json) const;
  /// What a dry run would do: a line on stdout, or {"dry_run": LINE} where --json says.
  void say_plan(const std::string& line) const;
  /// True when results for a person may go to stdout (it does not carry the JSON).
  bool stdout_is_free() const;

 private:
  po::variables_map values_;
  std::string usage_;               ///< "polygraft inspect MODEL"
  std::set<std::string> operands_;  ///< options that are given without their name
};

struct Command {
  std::string name;        ///< "tokenizer extend"
  std::string summary;     ///< one line
  std::string operands;    ///< "PIPELINE.yaml", for the usage line
  std::string example;     ///< a command line that works
  std::string notes = {};  ///< what options alone do not say; whole lines below them
  std::function<void(po::options_description&)> add_options;
  std::function<void(po::positional_options_description&)> add_operands;
  std::function<ExitCode(const Arguments&)> run;
  /// Whether processes that a launcher started together share its work (ranks.h).
  bool has_ranks = false;
  /// What --set can say; null: nothing.
  std::function<std::vector<Setting>()> settings = nullptr;
  bool takes_config = false;  ///< --config means something to it
  bool has_paths = false;     ///< paths in its configuration and in --set are taken from its folder
  bool writes_output = false;    ///< -o and --force do
  bool replaces_output = false;  ///< --force does, of an output that its configuration names
  bool reads_lines = false;      ///< and prints as many: --json and --dry-run mean nothing to it
  std::string force_hint = "it replaces nothing";  ///< why --force means nothing to it
};

/// All commands, in the order of the help.
std::vector<Command> all_commands();

Command init_command();
Command inspect_command();
Command tokenizer_train_command();
Command tokenizer_extend_command();
Command tokenizer_encode_command();
Command tokenizer_decode_command();
Command tokenizer_report_command();
Command expand_profile_command();
Command expand_plan_command();
Command expand_graft_command();
Command expand_upcycle_command();
Command expand_verify_command();
Command expand_pack_command();
Command expand_attach_command();
Command expand_detach_command();
Command expand_fuse_command();
Command train_command();
Command eval_bpb_command();
Command eval_cloze_command();
Command eval_choice_command();
Command eval_compare_command();
Command run_command();
Command plan_parallel_command();
Command generate_command();
Command report_command();

}  // namespace polygraft::cli
