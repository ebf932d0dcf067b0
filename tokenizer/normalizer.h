// tokenizer/normalizer.h: the `normalizer` of tokenizer.json: Unicode normalisation forms, or none.
// The reference normalises by Unicode 9's tables (crate unicode-normalization-alignments):
// characters assigned later pass unchanged, which ICU's newer tables are filtered to do as well.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace polygraft::tokenizer {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

class Normalizer {
 public:
  Normalizer() = default;  ///< changes nothing
  /// @param json null, {"type": "NFC"...} or a Sequence. @throws NotBuiltError naming another type.
  static Normalizer from_json(const Json& json, const std::filesystem::path& where);

  /// The normal form of valid UTF-8: `text` itself where it is normal already, else kept in
  /// `buffer`.
  std::string_view normalize(std::string_view text, std::string& buffer) const;

 private:
  std::vector<NormalForm> forms_;
};

}  // namespace polygraft::tokenizer
