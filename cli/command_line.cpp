// cli/command_line.cpp: dispatch, common options, help, and the mapping of errors to exit codes.
#include "cli/command_line.h"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <new>

#include "cli/command.h"
#include "cli/keep_inputs.h"
#include "cli/ranks.h"
#include "cli/version.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mapped_fault.h"
#include "core/parallel.h"
#include "core/settings.h"
#include "core/stop.h"
#include "core/text.h"

namespace polygraft::cli {
namespace {

po::options_description common_options() {
  po::options_description options("Common options (refused where they mean nothing)");
  auto add = options.add_options();
  add("config", po::value<std::string>()->value_name("FILE.yaml"), "configuration file");
  add("set", po::value<std::vector<std::string>>()->composing()->value_name("KEY=VALUE"),
      "a setting in place of the file's, such as train.tokens=300000; may be repeated");
  add("json", po::value<std::string>()->value_name("FILE|-"),
      "machine-readable result; - is stdout");
  add("threads", po::value<int64_t>()->default_value(0)->value_name("N"), "0: one for each core");
  add("log-level", po::value<std::string>()->default_value("info")->value_name("LEVEL"),
      "trace, debug, info, warn or error");
  add("quiet", po::bool_switch(), "only warnings and errors");
  add("dry-run", po::bool_switch(), "say what would be done, change nothing");
  add("output,o", po::value<std::string>()->value_name("OUT"), "where the result goes");
  add("force", po::bool_switch(), "replace an existing output");
  add("help,h", po::bool_switch(), "this text");
  return options;
}

std::string overview_line(const Command& command) {
  constexpr size_t kColumn = 18;
  const size_t gap = command.name.size() < kColumn ? kColumn - command.name.size() : 1;
  return concat("  ", command.name, std::string(gap, ' '), command.summary, "\n");
}

void print_overview(std::ostream& out, const std::vector<Command>& commands) {
  out << "polygraft " << kVersion
      << ": adds languages to released mixture-of-experts models without harming the ones they "
         "have\n\n"
         "usage: polygraft COMMAND [OPERANDS] [OPTIONS]\n\n";
  for (const Command& command : commands) out << overview_line(command);
  out << R"(
`polygraft COMMAND --help` shows the options and an example.
Exit codes: 0 done or gate passed, 1 runtime error, 2 usage or config, 3 gate failed (`train`: the
budget; `expand verify`: a difference), 4 not comparable or not enough evidence, 130/143 interrupted
(run again to continue).
)";
}

std::string usage_of(const Command& command) {
  return concat("polygraft ", command.name, command.operands.empty() ? "" : " ", command.operands);
}

void print_settings(const Command& command) {
  if (!command.settings) return;
  std::cout << "\nSettings (--set KEY=VALUE, or in "
            << (command.takes_config ? "--config FILE" : command.operands)
            << (command.has_paths ? "; relative paths of both are taken from its folder" : "")
            << "):\n"
            << settings_table(command.settings());
}

void print_help(const Command& command, const po::options_description& own,
                const po::options_description& common) {
  std::cout << "polygraft " << command.name << ": " << command.summary
            << "\n\nusage: " << usage_of(command) << " [OPTIONS]\n\n";
  if (!own.options().empty()) std::cout << own << "\n";
  std::cout << common;
  print_settings(command);
  if (!command.notes.empty()) std::cout << "\n" << command.notes;
  std::cout << "\nexample:\n  " << command.example << "\n";
}

std::set<std::string> names_of(const po::positional_options_description& operands) {
  std::set<std::string> names;
  constexpr unsigned kMost = 8;  // an operand that repeats has no last position
  for (unsigned i = 0; i < std::min(operands.max_total_count(), kMost); ++i) {
    names.insert(operands.name_for_position(i));
  }
  return names;
}

/// `polygraft eval` and its --help: the commands that begin with this word. @return whether any do.
bool print_group(const std::vector<Command>& commands, const std::string& word, std::ostream& out) {
  std::string lines;
  for (const Command& command : commands) {
    if (command.name.starts_with(word + " ")) lines += overview_line(command);
  }
  if (lines.empty()) return false;
  out << "usage: polygraft " << word << " COMMAND [OPERANDS] [OPTIONS]\n\n"
      << lines << "\n`polygraft " << word << " COMMAND --help` shows the options and an example.\n";
  return true;
}

/// The command whose name is the first one or two words, and how many words that was.
std::pair<const Command*, int> find_command(const std::vector<Command>& commands,
                                            const std::vector<std::string>& words) {
  for (int num_words = 2; num_words >= 1; --num_words) {
    if (static_cast<int>(words.size()) < num_words) continue;
    const std::string name = num_words == 2 ? words[0] + " " + words[1] : words[0];
    for (const Command& command : commands) {
      if (command.name == name) return {&command, num_words};
    }
  }
  std::vector<std::string> names;
  for (const Command& command : commands) names.push_back(command.name);
  const std::string asked =
      words.size() > 1 && words[1].rfind('-', 0) != 0 ? words[0] + " " + words[1] : words[0];
  const std::string nearest = nearest_name(asked, names);
  throw ConfigError("command line", concat("there is no command '", asked, "'"))
      .hint(nearest.empty() ? "`polygraft --help` lists the commands"
                            : concat("did you mean '", nearest, "'?"));
}

void apply_common(const po::variables_map& values) {
  set_log_level(values["quiet"].as<bool>()
                    ? LogLevel::kWarn
                    : parse_log_level(values["log-level"].as<std::string>()));
  int64_t threads = values["threads"].as<int64_t>();
  constexpr int64_t kMostThreads = 1024;  // libraries below start them all at once
  if (threads < 0 || threads > kMostThreads)
    throw ConfigError("--threads", concat("must be 0 to ", kMostThreads))
        .found(std::to_string(threads));
  if (threads == 0) threads = Ranks::share_of_cores();
  if (threads == 0) return;
  at::set_num_threads(static_cast<int>(threads));
  set_default_num_threads(static_cast<int>(threads));
}

/// What is silently ignored would be taken for done.
void refuse_unused(const Command& command, const po::variables_map& values) {
  const auto refuse = [&](const char* option, bool is_used, const std::string& hint) {
    if (is_used || values.count(option) == 0 || values[option].defaulted()) return;
    throw ConfigError(concat("--", option), concat("means nothing to `", command.name, "`"))
        .hint(hint);
  };
  const bool has_settings = command.settings != nullptr;
  const std::string no_settings = "it has no configuration; its options are in its --help";
  refuse(
      "config", command.takes_config,
      has_settings ? concat("its configuration is its operand: ", usage_of(command)) : no_settings);
  refuse("set", has_settings, no_settings);
  refuse("force", command.replaces_output || command.writes_output, command.force_hint);
  refuse("output", command.writes_output, "it prints, or writes where its configuration says");
  const std::string streams = "it reads lines and prints lines";
  refuse("json", !command.reads_lines, streams);
  refuse("dry-run", !command.reads_lines, streams);
}

/// A result that did not get out is no success.
ExitCode flushed(ExitCode code) {
  std::cout.flush();
  if (std::cout) return code;
  throw IoError("standard output", "cannot be written").hint("is its disk full?");
}

po::variables_map parse(po::command_line_parser& parser, const std::string& command) {
  po::variables_map values;
  try {
    using Style = po::command_line_style::style_t;
    po::store(parser.style(Style::unix_style & ~Style::allow_guessing).run(), values);
  } catch (const po::error& error) {
    throw ConfigError("command line", error.what()).hint(concat("polygraft ", command, " --help"));
  }
  return values;
}

ExitCode run_words(const std::vector<std::string>& words) {
  const std::vector<Command> commands = all_commands();
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_overview(words.empty() ? std::cerr : std::cout, commands);
    return words.empty() ? ExitCode::kUsage : ExitCode::kDone;
  }
  if (words[0] == "--version") {
    std::cout << "polygraft " << kVersion << "\n";
    return ExitCode::kDone;
  }
  if (words.size() == 1 && print_group(commands, words[0], std::cerr)) return ExitCode::kUsage;
  const bool asks_help = words.size() == 2 && (words[1] == "--help" || words[1] == "-h");
  if (asks_help && print_group(commands, words[0], std::cout)) return ExitCode::kDone;
  const auto [command, num_words] = find_command(commands, words);
  po::options_description own("Options of this command");
  if (command->add_options) command->add_options(own);
  const po::options_description common = common_options();
  po::options_description all;
  all.add(own).add(common);
  po::positional_options_description operands;
  if (command->add_operands) command->add_operands(operands);
  po::command_line_parser parser(std::vector<std::string>(words.begin() + num_words, words.end()));
  po::variables_map values = parse(parser.options(all).positional(operands), command->name);
  if (values["help"].as<bool>()) {
    print_help(*command, own, common);
    return ExitCode::kDone;
  }
  po::notify(values);
  apply_common(values);
  refuse_unused(*command, values);
  if (!command->has_ranks) require_one_process(command->name);
  const Arguments arguments(std::move(values), usage_of(*command), names_of(operands));
  keep_inputs(arguments);
  if (command->reads_lines) remove_stop_handlers();
  return command->run(arguments);
}

/// A rank that was told to stop takes no other's end, of the same signal, for a loss.
ExitCode run_ranks(const std::vector<std::string>& words) {
  try {
    return run_words(words);
  } catch (const parallel::RankError&) {
    throw_if_stopped();
    throw;
  }
}

}  // namespace

int run_command_line(int argc, char** argv) {
  install_stop_handlers();
  exit_on_mapped_fault();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit then shows as a write error, which is
                                  // reported like a full disk
  try {
    return static_cast<int>(flushed(run_ranks(std::vector<std::string>(argv + 1, argv + argc))));
  } catch (const Error& error) {
    std::cerr << "polygraft: " << harmless(error.what(), /*keep_lines=*/true) << "\n";
    return static_cast<int>(error.exit_code());
  } catch (const Interrupted& stop) {
    std::cerr << "polygraft: " << stop.what() << "\n";
    return 128 + stop.signal_number();
  } catch (const fs::filesystem_error& error) {  // a name that is too long, links in a circle
    std::cerr << "polygraft: " << io_error(error.path1(), "use it", error.code().value()).what()
              << "\n";
  } catch (const c10::OutOfMemoryError& error) {  // of a GPU
    std::cerr << "polygraft: out of memory: " << error.what_without_backtrace()
              << "\n  hint: lower train.micro_batch_tokens, or share experts out (--ep)\n";
  } catch (const c10::AcceleratorError& error) {
    std::cerr
        << "polygraft: the GPU failed: " << error.what_without_backtrace()
        << "\n  hint: look at nvidia-smi and the system's log; the same command continues from "
           "the last checkpoint\n";
  } catch (const std::bad_alloc&) {
    std::cerr << "polygraft: out of memory\n  hint: --dry-run shows what a command needs\n";
  } catch (const std::exception& error) {
    std::cerr
        << "polygraft: internal error: " << error.what()
        << "\n  hint: this is a defect of polygraft; please report it with the command line\n";
  }
  return static_cast<int>(ExitCode::kRuntime);
}

}  // namespace polygraft::cli
