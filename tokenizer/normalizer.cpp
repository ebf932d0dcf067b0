// tokenizer/normalizer.cpp: see normalizer.h.
#include "tokenizer/normalizer.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "core/error.h"
#include "core/json.h"
#include "core/text.h"
#include "tokenizer/white_space.h"

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

/// Each step gives the changed text, or nothing where it changes nothing; Strip moves `text`
/// itself.
std::optional<std::string> changed_by(NormalForm form, std::string_view& text) {
  if (is_normal(form, text)) return std::nullopt;
  std::string normal;
  normal.reserve(text.size());
  UErrorCode status = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&normal);
  const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
  icu_normalizer(form).normalizeUTF8(0, piece, sink, nullptr, status);
  require(status, "normalising");
  return normal;
}

std::optional<std::string> changed_by(const PrependedText& prepended, std::string_view& text) {
  if (text.empty()) return std::nullopt;
  std::string longer;
  longer.reserve(prepended.text.size() + text.size());
  return std::move(longer.append(prepended.text).append(text));
}

std::optional<std::string> changed_by(const Replacement& replacement, std::string_view& text) {
  return replacement.apply(text);
}

std::optional<std::string> changed_by(const StrippedEnds& ends, std::string_view& text) {
  if (ends.right) text = text.substr(0, without_trailing_space(text));
  if (ends.left) text.remove_prefix(leading_space(text));
  return std::nullopt;
}

}  // namespace

void Normalizer::add(const Json& json, const std::filesystem::path& where) {
  const auto type = json_get<std::string>(json, "type", where);
  if (type == "Sequence") {
    for (const Json& part : json_get<Json>(json, "normalizers", where)) add(part, where);
    return;
  }
  for (size_t i = 0; i < kForms.size(); ++i) {
    if (type == kForms[i].type) {
      steps_.emplace_back(static_cast<NormalForm>(i));
      return;
    }
  }
  if (type == "Prepend") {
    steps_.emplace_back(PrependedText{json_get<std::string>(json, "prepend", where)});
  } else if (type == "Replace") {
    steps_.emplace_back(Replacement::from_json(json, where));
  } else if (type == "Strip") {
    steps_.emplace_back(StrippedEnds{json_get<bool>(json, "strip_left", where),
                                     json_get<bool>(json, "strip_right", where)});
  } else {
    throw NotBuiltError(concat("normalizer '", type, "'")).found(where.string());
  }
}

Normalizer Normalizer::from_json(const Json& json, const std::filesystem::path& where) {
  Normalizer normalizer;
  if (!json.is_null()) normalizer.add(json, where);
  return normalizer;
}

bool Normalizer::may_remove_beginning() const {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    const auto* ends = std::get_if<StrippedEnds>(&step);
    const auto* replacement = std::get_if<Replacement>(&step);
    return (ends != nullptr && ends->left) || (replacement != nullptr && replacement->removes());
  });
}

std::string_view Normalizer::normalize(std::string_view text, std::string& buffer) const {
  std::string_view current = text;
  for (const Step& step : steps_) {
    auto changed = std::visit([&](const auto& kind) { return changed_by(kind, current); }, step);
    if (!changed) continue;
    buffer = std::move(*changed);
    current = buffer;
  }
  return current;
}

}  // namespace polygraft::tokenizer
