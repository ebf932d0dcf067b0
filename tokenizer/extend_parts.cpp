// tokenizer/extend_parts.cpp: see extend_parts.h.
#include "tokenizer/extend_parts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/config.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

constexpr std::array kFilesCopied{"tokenizer_config.json", "special_tokens_map.json",
                                  "added_tokens.json", "chat_template.jinja", "chat_template.json"};
}  // namespace

void check_options(const ExtendOptions& options, const TextsByLanguage& new_texts,
                   const TextsByLanguage& guard_texts) {
  Problems problems;
  problems.require_in("guard_max_changed", options.guard_max_changed, 0, 1);
  problems.require_at_least("new_tokens", options.new_tokens.value_or(1), 1);
  problems.require_in("min_saving", options.min_saving, 0, 1, Ends::kNeither);
  problems.require_at_least("min_count", options.min_count, 1);
  for (const auto& [code, files] : new_texts) {
    problems.require(guard_texts.count(code) == 0, "languages", code,
                     "cannot be new and guarded at once");
  }
  problems.throw_if_any("tokenizer extend");
}

LearnLimits limits_of(const ExtendOptions& options, int64_t new_text_tokens) {
  if (options.new_tokens) return {*options.new_tokens, options.min_count};
  const double saving = std::ceil(options.min_saving * static_cast<double>(new_text_tokens));
  return {LearnLimits::kNoLimit, std::max(options.min_count, static_cast<int64_t>(saving))};
}

void check_learned(int64_t num_learned, const ExtendOptions& options, const LearnLimits& limits,
                   const ExtendReport& report) {
  if (num_learned == 0) {
    throw NumericError("tokenizer extend", "no merge can be learned")
        .expected(concat("a pair of tokens seen ", limits.min_count, " times in the new text"))
        .found(concat(report.guard_rejected_total, " pairs rejected by the guard, ",
                      report.script_rejected, " across scripts or digits"))
        .hint("more new text, or less guard text of the same script");
  }
  if (num_learned < options.new_tokens.value_or(0)) {
    log_warn(concat("tokenizer extend: the new text gives ", num_learned, " merges, ",
                    *options.new_tokens, " were asked for"));
  }
}

void check_promises(const ExtendReport& report, const std::map<std::string, int64_t>& changes) {
  const char* const kWhere = "tokenizer extend";
  if (report.unreachable != 0) {
    throw NumericError(kWhere, concat(report.unreachable, " new tokens are not reachable"))
        .hint("nothing was written; please report this with the tokenizer");
  }
  for (const auto& [code, expected] : changes) {
    const int64_t changed = report.languages.at(code).changed_documents;
    if (changed == expected) continue;
    throw NumericError(kWhere, concat("the guard failed for language '", code, "'"))
        .expected(concat(expected, " guard documents with other ids"))
        .found(concat(changed))
        .hint("nothing was written; please report this with the tokenizer");
  }
}

void copy_tokenizer_settings(const fs::path& source_folder, const fs::path& folder) {
  create_folders(folder);
  for (const char* name : kFilesCopied) {
    if (fs::exists(source_folder / name)) copy_bytes(source_folder / name, folder / name);
  }
}

std::optional<int64_t> parse_new_tokens(const std::string& text, const std::string& where) {
  if (text == "auto") return std::nullopt;
  int64_t number = -1;
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number);
  if (failure == std::errc() && stop == end && number >= 0) return number;
  throw ConfigError(where, "no number of tokens").expected("a whole number, or auto").found(text);
}

}  // namespace polygraft::tokenizer
