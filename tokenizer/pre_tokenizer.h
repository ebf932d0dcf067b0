// tokenizer/pre_tokenizer.h: cuts text into the pieces within which merges may happen.
// Reference: Hugging Face tokenizers, pre_tokenizers::{split,byte_level,digits,metaspace,sequence}
// and NormalizedString::split.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/metaspace.h"
#include "tokenizer/pattern.h"

namespace polygraft::tokenizer {

/// GPT-2's own pattern, which ByteLevel applies unless use_regex is false.
inline constexpr const char* kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of the matches of a Split pattern.
enum class SplitBehavior { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// One step of a pre-tokenizer that cuts pieces by a pattern.
struct PreTokenizerStep {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool invert = false;  ///< the pattern matches what is between the delimiters
};

/// The pieces of `text` that `step` makes, in order, without empty ones.
void split_piece(const PreTokenizerStep& step, std::string_view text, std::vector<Span>& pieces);

/// A space before a piece that has none (ByteLevel's add_prefix_space).
struct PrefixSpace {};

/// A cut before each character `marker` that does not follow another one.
struct CutBefore {
  std::string marker;
};

class PreTokenizer {
 public:
  PreTokenizer() = default;  ///< one piece: the text
  /// @param json null, or {"type": ...}. @throws NotBuiltError naming a type or behaviour that is
  /// not supported.
  static PreTokenizer from_json(const Json& json, const std::filesystem::path& where);

  /// Whether the pieces are bytes, which tokens spell in the byte alphabet; else characters.
  bool byte_level() const { return has_byte_level_; }

  /// Whether the beginning of the whole text is treated otherwise than that of a part.
  bool marks_beginning() const;

  /// Cuts the pieces further before `marker`; for a model none of whose merges crosses such a cut.
  void cut_before(std::string marker) { steps_.emplace_back(CutBefore{std::move(marker)}); }

  /// Calls `visit(std::string_view piece)` for every piece of `text`, in order. The pieces are raw
  /// bytes: the byte alphabet is how tokens are spelled, and the model knows it.
  /// @param at_start whether the whole text begins here, not behind an added token.
  template <class Visitor>
  void for_each_piece(std::string_view text, bool at_start, const Visitor& visit) const {
    visit_from(0, text, at_start, visit);
  }

 private:
  using Step = std::variant<PreTokenizerStep, PrefixSpace, MetaspaceOptions, CutBefore>;
  void add(const Json& json, const std::filesystem::path& where);
  void add_byte_level(const Json& json, const std::filesystem::path& where);

  template <class Visitor>
  void visit_from(size_t step, std::string_view text, bool at_start, const Visitor& visit) const {
    if (text.empty()) return;
    if (step == steps_.size()) return visit(text);
    std::visit([&](const auto& kind) { apply(kind, step + 1, text, at_start, visit); },
               steps_[step]);
  }
  /// Hands each piece that a step makes of `text` to the step after it.
  template <class Visitor>
  void apply(const PreTokenizerStep& split, size_t next, std::string_view text, bool at_start,
             const Visitor& visit) const {
    if (split.behavior != SplitBehavior::kIsolated) {
      std::vector<Span> pieces;
      split_piece(split, text, pieces);
      for (const Span& piece : pieces) {
        visit_from(next, text.substr(piece.begin, piece.end - piece.begin),
                   at_start && piece.begin == 0, visit);
      }
      return;
    }
    // The common case, without a list of pieces: matches and what is between them, in order.
    Span match;
    SearchBudget budget(text);
    for (size_t from = 0; from < text.size(); from = match.end) {
      if (!split.pattern.find(text, from, match, budget)) match = {text.size(), text.size()};
      visit_from(next, text.substr(from, match.begin - from), at_start && from == 0, visit);
      visit_from(next, text.substr(match.begin, match.end - match.begin),
                 at_start && match.begin == 0, visit);
    }
  }
  template <class Visitor>
  void apply(const PrefixSpace&, size_t next, std::string_view text, bool at_start,
             const Visitor& visit) const {
    if (text.front() == ' ') return visit_from(next, text, at_start, visit);
    std::string prefixed(1, ' ');
    prefixed.append(text);
    visit_from(next, prefixed, at_start, visit);
  }
  template <class Visitor>
  void apply(const MetaspaceOptions& metaspace, size_t next, std::string_view text, bool at_start,
             const Visitor& visit) const {
    const std::string marked = metaspace.apply(text, at_start);
    if (!metaspace.split) return visit_from(next, marked, at_start, visit);
    visit_cuts(metaspace.replacement, /*within_runs=*/true, next, marked, at_start, visit);
  }
  template <class Visitor>
  void apply(const CutBefore& cut, size_t next, std::string_view text, bool at_start,
             const Visitor& visit) const {
    visit_cuts(cut.marker, /*within_runs=*/false, next, text, at_start, visit);
  }
  template <class Visitor>
  void visit_cuts(std::string_view marker, bool within_runs, size_t next, std::string_view text,
                  bool at_start, const Visitor& visit) const {
    size_t begin = 0;
    for (size_t at = text.find(marker); at != std::string_view::npos;
         at = text.find(marker, at + marker.size())) {
      if (!within_runs && text.substr(0, at).ends_with(marker)) continue;
      visit_from(next, text.substr(begin, at - begin), at_start && begin == 0, visit);
      begin = at;
    }
    visit_from(next, text.substr(begin), at_start && begin == 0, visit);
  }

  std::vector<Step> steps_;
  bool has_byte_level_ = false;
};

}  // namespace polygraft::tokenizer
