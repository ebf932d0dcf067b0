// tokenizer/normalizer.cpp: see normalizer.h.
#include "tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <array>
#include <memory>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

struct FormEntry {
  const char* type;
  const char* icu_data;
  UNormalization2Mode mode;
  unsigned char first_byte_of_interest;  ///< text whose bytes are all below is in this form
};

// Below U+0300 nothing composes or reorders (its lead byte is 0xCC); decompositions begin in
// Latin-1.
constexpr std::array<FormEntry, 4> kForms{{{"NFC", "nfc", UNORM2_COMPOSE, 0xCC},
                                           {"NFD", "nfc", UNORM2_DECOMPOSE, 0x80},
                                           {"NFKC", "nfkc", UNORM2_COMPOSE, 0x80},
                                           {"NFKD", "nfkc", UNORM2_DECOMPOSE, 0x80}}};

void require(UErrorCode status, const char* action) {
  if (U_FAILURE(status)) {
    throw FormatError("ICU", concat(action, " failed")).found(u_errorName(status));
  }
}

const icu::UnicodeSet& characters_of_unicode_9() {
  static const icu::UnicodeSet set = [] {
    UErrorCode status = U_ZERO_ERROR;
    icu::UnicodeSet characters(UNICODE_STRING_SIMPLE("[:age=9.0:]"), status);
    require(status, "reading the characters of Unicode 9");
    characters.freeze();
    return characters;
  }();
  return set;
}

const icu::Normalizer2& icu_normalizer(NormalForm form) {
  static const auto make = [](const FormEntry& entry) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* all =
        icu::Normalizer2::getInstance(nullptr, entry.icu_data, entry.mode, status);
    require(status, "loading a normal form");
    return std::make_unique<icu::FilteredNormalizer2>(*all, characters_of_unicode_9());
  };
  static const std::array<std::unique_ptr<icu::FilteredNormalizer2>, 4> all{
      make(kForms[0]), make(kForms[1]), make(kForms[2]), make(kForms[3])};
  return *all[static_cast<size_t>(form)];
}

bool is_normal(NormalForm form, std::string_view text) {
  const unsigned char limit = kForms[static_cast<size_t>(form)].first_byte_of_interest;
  const bool plain = std::all_of(text.begin(), text.end(), [limit](char byte) {
    return static_cast<unsigned char>(byte) < limit;
  });
  if (plain) return true;
  UErrorCode status = U_ZERO_ERROR;
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  const bool normal = icu_normalizer(form).isNormalizedUTF8(piece, status) != 0;
  require(status, "checking a normal form");
  return normal;
}

void apply(NormalForm form, std::string_view text, std::string& normal) {
  UErrorCode status = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&normal);
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  icu_normalizer(form).normalizeUTF8(0, piece, sink, nullptr, status);
  require(status, "normalising");
}

void collect(const Json& json, const std::filesystem::path& where, std::vector<NormalForm>& forms) {
  if (json.is_null()) return;
  const auto type = json_get<std::string>(json, "type", where);
  if (type == "Sequence") {
    for (const Json& part : json_get<Json>(json, "normalizers", where)) collect(part, where, forms);
    return;
  }
  for (size_t i = 0; i < kForms.size(); ++i) {
    if (type == kForms[i].type) return forms.push_back(static_cast<NormalForm>(i));
  }
  throw NotBuiltError(concat("normalizer '", type, "'")).found(where.string());
}

}  // namespace

Normalizer Normalizer::from_json(const Json& json, const std::filesystem::path& where) {
  Normalizer normalizer;
  collect(json, where, normalizer.forms_);
  return normalizer;
}

std::string_view Normalizer::normalize(std::string_view text, std::string& buffer) const {
  std::string_view current = text;
  for (const NormalForm form : forms_) {
    if (is_normal(form, current)) continue;
    std::string normal;
    normal.reserve(current.size());
    apply(form, current, normal);
    buffer = std::move(normal);
    current = buffer;
  }
  return current;
}

}  // namespace polygraft::tokenizer
