// tokenizer/pre_tokenizer.cpp: see pre_tokenizer.h.
#include "tokenizer/pre_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/replacement.h"

namespace polygraft::tokenizer {
namespace {

/// Digits asks Rust's char::is_numeric, which knows Unicode 17's numbers already.
constexpr const char* kNumericPattern = R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])";

constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kBehaviors{
    {{"Isolated", SplitBehavior::kIsolated},
     {"Removed", SplitBehavior::kRemoved},
     {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
     {"MergedWithNext", SplitBehavior::kMergedWithNext},
     {"Contiguous", SplitBehavior::kContiguous}}};

SplitBehavior read_behavior(const Json& json, const std::filesystem::path& where) {
  const auto name = json_get<std::string>(json, "behavior", where);
  for (const auto& [known, behavior] : kBehaviors) {
    if (name == known) return behavior;
  }
  throw FormatError(where, concat("Split behavior '", name, "' is unknown"))
      .expected("Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous");
}

PreTokenizerStep read_split(const Json& json, const std::filesystem::path& where) {
  return {read_pattern(json_get<Json>(json, "pattern", where), where), read_behavior(json, where),
          json_get_or<bool>(json, "invert", false, where)};
}

/// A part of the text, and whether it is a delimiter.
struct Part {
  Span span;
  bool delimiter = false;
};

std::vector<Part> parts_of(const PreTokenizerStep& step, std::string_view text) {
  std::vector<Part> parts;
  size_t from = 0;
  SearchBudget budget(text);
  for (Span match; from < text.size() && step.pattern.find(text, from, match, budget);
       from = match.end) {
    if (match.begin > from) parts.push_back({{from, match.begin}, step.invert});
    parts.push_back({match, !step.invert});
  }
  if (from < text.size()) parts.push_back({{from, text.size()}, step.invert});
  return parts;
}

void merge_with_next(const std::vector<Part>& parts, std::vector<Span>& pieces) {
  size_t begin = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool joins_next = parts[i].delimiter && i + 1 < parts.size() && !parts[i + 1].delimiter;
    if (joins_next) continue;
    pieces.push_back({begin, parts[i].span.end});
    begin = parts[i].span.end;
  }
}

}  // namespace

void split_piece(const PreTokenizerStep& step, std::string_view text, std::vector<Span>& pieces) {
  const std::vector<Part> parts = parts_of(step, text);
  if (step.behavior == SplitBehavior::kMergedWithNext) return merge_with_next(parts, pieces);
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool delimiter = parts[i].delimiter;
    const bool after_delimiter = i > 0 && parts[i - 1].delimiter;
    if (step.behavior == SplitBehavior::kRemoved && delimiter) continue;
    const bool joins =
        i > 0 &&
        ((step.behavior == SplitBehavior::kContiguous && delimiter == after_delimiter) ||
         (step.behavior == SplitBehavior::kMergedWithPrevious && delimiter && !after_delimiter));
    if (joins) {
      pieces.back().end = parts[i].span.end;
    } else {
      pieces.push_back(parts[i].span);
    }
  }
}

void PreTokenizer::add_byte_level(const Json& json, const std::filesystem::path& where) {
  if (json_get_or<bool>(json, "add_prefix_space", true, where)) steps_.emplace_back(PrefixSpace{});
  if (json_get_or<bool>(json, "use_regex", true, where)) {
    steps_.emplace_back(PreTokenizerStep{Pattern(kGpt2Pattern, where)});
  }
  has_byte_level_ = true;
}

void PreTokenizer::add(const Json& json, const std::filesystem::path& where) {
  const auto type = json_get<std::string>(json, "type", where);
  if (type == "Sequence") {
    for (const Json& part : json_get<Json>(json, "pretokenizers", where)) add(part, where);
    return;
  }
  if (has_byte_level_) {
    throw NotBuiltError(concat("pre-tokenizer '", type, "' after ByteLevel")).found(where.string());
  }
  if (type == "ByteLevel") {
    add_byte_level(json, where);
  } else if (type == "Split") {
    steps_.emplace_back(read_split(json, where));
  } else if (type == "Digits") {
    const bool individual = json_get_or<bool>(json, "individual_digits", false, where);
    const auto behavior = individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
    steps_.emplace_back(PreTokenizerStep{Pattern(kNumericPattern, where), behavior});
  } else if (type == "Metaspace") {
    steps_.emplace_back(MetaspaceOptions::from_json(json, where));
  } else {
    throw NotBuiltError(concat("pre-tokenizer '", type, "'")).found(where.string());
  }
}

PreTokenizer PreTokenizer::from_json(const Json& json, const std::filesystem::path& where) {
  PreTokenizer result;
  if (!json.is_null()) result.add(json, where);
  return result;
}

bool PreTokenizer::marks_beginning() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    const auto* metaspace = std::get_if<MetaspaceOptions>(&step);
    return metaspace != nullptr && metaspace->prepend == MetaspaceOptions::Prepend::kFirst;
  });
}

}  // namespace polygraft::tokenizer
