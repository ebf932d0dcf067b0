// tokenizer/normalizer.h: the `normalizer` of tokenizer.json: NFC, NFD, NFKC, NFKD, Prepend,
// Replace, Strip, and Sequences of them. The reference normalises by Unicode 9's tables (crate
// unicode-normalization-alignments): characters assigned later pass unchanged, which ICU's newer
// tables are filtered to do as well. Reference: Hugging Face tokenizers,
// normalizers/{unicode,prepend,replace,strip}.rs.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/replacement.h"

namespace polygraft::tokenizer {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

/// Put before every text that is not empty.
struct PrependedText {
  std::string text;
};

/// White space taken off the ends.
struct StrippedEnds {
  bool left = false, right = false;
};

class Normalizer {
 public:
  Normalizer() = default;  ///< changes nothing
  /// @param json null, {"type": "NFC"...} or a Sequence. @throws NotBuiltError naming another type.
  static Normalizer from_json(const Json& json, const std::filesystem::path& where);

  /// Whether the beginning of a text may be removed, not only changed.
  bool may_remove_beginning() const;

  /// The normal form of valid UTF-8: a part of `text` itself where nothing else changes, else kept
  /// in `buffer`.
  std::string_view normalize(std::string_view text, std::string& buffer) const;

 private:
  using Step = std::variant<NormalForm, PrependedText, Replacement, StrippedEnds>;
  void add(const Json& json, const std::filesystem::path& where);

  std::vector<Step> steps_;
};

}  // namespace polygraft::tokenizer
