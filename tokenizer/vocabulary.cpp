// tokenizer/vocabulary.cpp: see vocabulary.h.
#include "tokenizer/vocabulary.h"

#include "core/error.h"
#include "core/text.h"
#include "tokenizer/byte_alphabet.h"

namespace polygraft::tokenizer {
namespace {

/// No released vocabulary is near; an id beyond is a broken file, not a table to allocate.
constexpr int64_t kMostIds = int64_t{1} << 24;

}  // namespace

void Vocabulary::insert(const std::string& token, int64_t id, const fs::path& where) {
  if (id < 0 || id >= kMostIds) {
    throw FormatError(where, concat("token '", token, "' has id ", id))
        .expected(concat("an id from 0 to ", kMostIds - 1));
  }
  if (token.empty()) throw FormatError(where, concat("token ", id, " is the empty string"));
  if (id >= size()) entries_.resize(static_cast<size_t>(id) + 1);
  Entry& entry = entries_[static_cast<size_t>(id)];
  if (!entry.token.empty() && entry.token != token) {
    throw FormatError(where, concat("two tokens have id ", id))
        .found(concat("'", entry.token, "' and '", token, "'"));
  }
  const auto [known, fresh] = ids_.emplace(token, static_cast<TokenId>(id));
  if (!fresh && known->second != id) {
    throw FormatError(where, concat("token '", token, "' has two ids"))
        .found(concat(known->second, " and ", id));
  }
  entry.token = token;
  entry.bytes = from_alphabet(token).value_or(token);
}

void Vocabulary::mark_added(TokenId id, bool special, std::string_view decoded, bool skipped) {
  Entry& entry = entries_[static_cast<size_t>(id)];
  entry.bytes = from_alphabet(decoded).value_or(std::string(decoded));
  entry.special = special;
  entry.skipped = skipped;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace polygraft::tokenizer
