// tokenizer/vocabulary.cpp: see vocabulary.h.
#include "tokenizer/vocabulary.h"

#include <functional>
#include <utility>

#include "core/error.h"
#include "core/text.h"

namespace polygraft::tokenizer {
namespace {

/// No released vocabulary is near; an id beyond is a broken file, not a table to allocate.
constexpr int64_t kMostIds = int64_t{1} << 22;

}  // namespace

void Vocabulary::insert(std::string_view token, int64_t id, const fs::path& where) {
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
  if (2 * (static_cast<size_t>(num_tokens_) + 1) > slots_.size()) grow_slots();
  TokenId& slot = slots_[slot_of(token)];
  if (slot != kFree && slot != id) {
    throw FormatError(where, concat("token '", token, "' has two ids"))
        .found(concat(slot, " and ", id));
  }
  num_tokens_ += slot == kFree ? 1 : 0;
  slot = static_cast<TokenId>(id);
  entry.token = token;
}

size_t Vocabulary::slot_of(std::string_view token) const {
  size_t slot = std::hash<std::string_view>()(token) & (slots_.size() - 1);
  while (slots_[slot] != kFree && entry(slots_[slot]).token != token) {
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

void Vocabulary::grow_slots() {
  const std::vector<TokenId> old = std::move(slots_);
  slots_.assign(4 * old.size(), kFree);
  for (const TokenId id : old) {
    if (id != kFree) slots_[slot_of(entry(id).token)] = id;
  }
}

void Vocabulary::mark_added(TokenId id, bool special, std::string_view spelling, bool skipped) {
  Entry& entry = entries_[static_cast<size_t>(id)];
  entry.special = special;
  entry.skipped = skipped;
  if (spelling != entry.token) spellings_[id] = spelling;
}

const std::string& Vocabulary::spelling(TokenId id) const {
  const auto other = spellings_.find(id);
  return other == spellings_.end() ? entry(id).token : other->second;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  const TokenId id = slots_[slot_of(token)];
  if (id == kFree) return std::nullopt;
  return id;
}

}  // namespace polygraft::tokenizer
