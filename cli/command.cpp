// cli/command.cpp: the list of commands, and the parsed arguments they read.
#include "cli/command.h"

#include <iostream>

#include "core/file.h"
#include "core/json.h"
#include "core/text.h"

namespace polygraft::cli {

std::vector<Command> all_commands() {
  return {init_command(),
          run_command(),
          plan_parallel_command(),
          inspect_command(),
          tokenizer_train_command(),
          tokenizer_extend_command(),
          tokenizer_encode_command(),
          tokenizer_decode_command(),
          tokenizer_report_command(),
          expand_profile_command(),
          expand_plan_command(),
          expand_graft_command(),
          expand_upcycle_command(),
          expand_verify_command(),
          expand_pack_command(),
          expand_attach_command(),
          expand_detach_command(),
          expand_fuse_command(),
          train_command(),
          eval_bpb_command(),
          eval_cloze_command(),
          eval_choice_command(),
          eval_compare_command(),
          generate_command(),
          report_command()};
}

namespace {

std::string in_capitals(std::string text) {
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == '-') c = '_';
  }
  return text;
}

}  // namespace

std::optional<std::string> Arguments::optional_text(const std::string& option) const {
  if (values_.count(option) == 0) return std::nullopt;
  return values_[option].as<std::string>();
}

std::string Arguments::text(const std::string& option) const {
  const auto value = optional_text(option);
  if (value) return *value;
  if (operands_.count(option) == 0) {
    throw ConfigError("command line", concat("--", option, " is missing"));
  }
  throw ConfigError("command line", concat("the operand ", in_capitals(option), " is missing"))
      .expected(usage_);
}

std::vector<std::string> Arguments::texts(const std::string& option) const {
  if (values_.count(option) == 0) return {};
  return values_[option].as<std::vector<std::string>>();
}

std::vector<std::string> Arguments::values_of(const std::string& option) const {
  if (values_.count(option) == 0 || values_[option].defaulted()) return {};
  if (const auto* one = boost::any_cast<std::string>(&values_[option].value())) return {*one};
  const auto* several = boost::any_cast<std::vector<std::string>>(&values_[option].value());
  return several == nullptr ? std::vector<std::string>() : *several;
}

bool Arguments::takes_several(const std::string& option) const {
  if (values_.count(option) == 0) return false;
  return boost::any_cast<std::vector<std::string>>(&values_[option].value()) != nullptr;
}

fs::path Arguments::path(const std::string& option) const {
  const std::string value = text(option);
  if (value.empty()) throw ConfigError("command line", concat("--", option, " is empty"));
  return value;
}

int64_t Arguments::integer(const std::string& option) const {
  return values_[option].as<int64_t>();
}
double Arguments::number(const std::string& option) const { return values_[option].as<double>(); }
bool Arguments::flag(const std::string& option) const { return values_[option].as<bool>(); }

ConfigSource Arguments::config(const std::string& option) const {
  ConfigSource source = ConfigSource::from_file(path(option));
  for (const std::string& assignment : texts("set")) source.set(assignment);
  return source;
}

ConfigSource Arguments::config_or_defaults() const {
  if (optional_text("config")) return config();
  ConfigSource source = ConfigSource::from_text("{}", "--set");
  for (const std::string& assignment : texts("set")) source.set(assignment);
  return source;
}

fs::path Arguments::config_folder() const {
  const auto file = optional_text("config");
  return file ? fs::absolute(*file).parent_path() : fs::current_path();
}

void Arguments::emit_json(const Json& json) const {
  const auto target = optional_text("json");
  if (!target) return;
  if (*target == "-") {
    std::cout << json.dump(2, ' ', false, Json::error_handler_t::replace) << std::endl;
  } else {
    write_json(*target, with_valid_texts(json));
  }
}

void Arguments::say_plan(const std::string& line) const {
  if (stdout_is_free()) std::cout << line << "\n";
  emit_json({{"dry_run", line}});
}

bool Arguments::stdout_is_free() const { return optional_text("json").value_or("") != "-"; }

}  // namespace polygraft::cli
