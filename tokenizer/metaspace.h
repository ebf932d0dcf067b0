// tokenizer/metaspace.h: how SentencePiece's visible space U+2581 stands for spaces in
// tokenizer.json. Reference: Hugging Face tokenizers, pre_tokenizers/metaspace.rs.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include "core/json_fwd.h"

namespace polygraft::tokenizer {

/// What a space is in a SentencePiece model's pieces.
inline constexpr std::string_view kVisibleSpace = "\u2581";

struct MetaspaceOptions {
  enum class Prepend { kAlways, kFirst, kNever };  ///< kFirst: only where the whole text begins

  std::string replacement;  ///< one character
  Prepend prepend = Prepend::kAlways;
  bool split = true;  ///< cut before every replacement

  /// @throws FormatError for an unknown scheme, or options that contradict each other.
  static MetaspaceOptions from_json(const Json& json, const std::filesystem::path& where);

  /// `text` with spaces replaced and the replacement before it. @param at_start whether the whole
  /// text begins here.
  std::string apply(std::string_view text, bool at_start) const;
};

}  // namespace polygraft::tokenizer
