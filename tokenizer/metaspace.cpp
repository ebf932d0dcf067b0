// tokenizer/metaspace.cpp: see metaspace.h.
#include "tokenizer/metaspace.h"

#include <array>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/utf8.h"

namespace polygraft::tokenizer {
namespace {

using Prepend = MetaspaceOptions::Prepend;
constexpr std::array<std::pair<std::string_view, Prepend>, 3> kSchemes{
    {{"always", Prepend::kAlways}, {"first", Prepend::kFirst}, {"never", Prepend::kNever}}};

Prepend read_scheme(const Json& json, const std::filesystem::path& where) {
  const auto name = json_get_or<std::string>(json, "prepend_scheme", "always", where);
  for (const auto& [known, scheme] : kSchemes) {
    if (name == known) return scheme;
  }
  throw FormatError(where, concat("Metaspace prepend_scheme '", name, "' is unknown"))
      .expected("always, first or never");
}

}  // namespace

MetaspaceOptions MetaspaceOptions::from_json(const Json& json, const std::filesystem::path& where) {
  MetaspaceOptions options;
  options.replacement = json_get<std::string>(json, "replacement", where);
  size_t end = 0;
  if (!options.replacement.empty()) next_code_point(options.replacement, end);
  if (end == 0 || end != options.replacement.size()) {
    throw FormatError(where, "Metaspace needs one replacement character")
        .found(concat("'", options.replacement, "'"));
  }
  options.prepend = read_scheme(json, where);
  options.split = json_get_or<bool>(json, "split", true, where);
  const bool prefix = json_get_or<bool>(json, "add_prefix_space", true, where);
  if (!prefix && options.prepend != Prepend::kNever) {
    throw FormatError(where, "Metaspace add_prefix_space false contradicts its prepend_scheme")
        .expected("\"prepend_scheme\": \"never\" with it");
  }
  return options;
}

std::string MetaspaceOptions::apply(std::string_view text, bool at_start) const {
  std::string result;
  result.reserve(text.size() + text.size() / 2 + replacement.size());
  const bool wanted = prepend == Prepend::kAlways || (prepend == Prepend::kFirst && at_start);
  if (wanted && !text.starts_with(' ') && !text.starts_with(replacement)) result = replacement;
  for (const char byte : text) {
    if (byte == ' ') {
      result += replacement;
    } else {
      result += byte;
    }
  }
  return result;
}

}  // namespace polygraft::tokenizer
