// tokenizer/pre_tokenizer.h: cuts text into the pieces within which merges may happen.
// Reference: Hugging Face tokenizers, pre_tokenizers::{split,byte_level,digits,sequence} and
// NormalizedString::split.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "tokenizer/pattern.h"

namespace polygraft::tokenizer {

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

class PreTokenizer {
 public:
  /// @throws NotBuiltError naming a type or behaviour that is not supported, or when no ByteLevel
  /// step ends the sequence: then the tokenizer is no byte-level one.
  static PreTokenizer from_json(const Json& json, const std::filesystem::path& where);

  /// Calls `visit(std::string_view piece)` for every piece of `text`, in order. The pieces are raw
  /// bytes: the byte alphabet is how tokens are spelled, and the model knows it.
  template <class Visitor>
  void for_each_piece(std::string_view text, const Visitor& visit) const {
    visit_from(0, text, visit);
  }

 private:
  using Step = std::optional<PreTokenizerStep>;  ///< none: put a space before the piece
  static void collect(const Json& json, const std::filesystem::path& where, PreTokenizer& result);
  void add_byte_level(const Json& json, const std::filesystem::path& where);

  template <class Visitor>
  void visit_from(size_t step, std::string_view text, const Visitor& visit) const {
    if (text.empty()) return;
    if (step == steps_.size()) return visit(text);
    if (!steps_[step]) return visit_prefixed(step, text, visit);
    const PreTokenizerStep& split = *steps_[step];
    if (split.behavior != SplitBehavior::kIsolated) {
      std::vector<Span> pieces;
      split_piece(split, text, pieces);
      for (const Span& piece : pieces) {
        visit_from(step + 1, text.substr(piece.begin, piece.end - piece.begin), visit);
      }
      return;
    }
    // The common case, without a list of pieces: matches and what is between them, in order.
    Span match;
    for (size_t from = 0; from < text.size(); from = match.end) {
      if (!split.pattern.find(text, from, match)) match = {text.size(), text.size()};
      visit_from(step + 1, text.substr(from, match.begin - from), visit);
      visit_from(step + 1, text.substr(match.begin, match.end - match.begin), visit);
    }
  }
  template <class Visitor>
  void visit_prefixed(size_t step, std::string_view text, const Visitor& visit) const {
    if (text.front() == ' ') return visit_from(step + 1, text, visit);
    std::string prefixed(1, ' ');
    prefixed.append(text);
    visit_from(step + 1, prefixed, visit);
  }

  std::vector<Step> steps_;
  bool has_byte_level_ = false;
};

}  // namespace polygraft::tokenizer
