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
  const uint32_t hash = hash_of(token);
  Slot& slot = slots_[slot_of(token, hash)];
  if (slot.id != kFree && slot.id != id) {
    throw FormatError(where, concat("token '", token, "' has two ids"))
        .found(concat(slot.id, " and ", id));
  }
  num_tokens_ += slot.id == kFree ? 1 : 0;
  slot = {hash, static_cast<TokenId>(id)};
  entry.token = token;
}

uint32_t Vocabulary::hash_of(std::string_view token) {
  return static_cast<uint32_t>(std::hash<std::string_view>()(token));
}

size_t Vocabulary::slot_of(std::string_view token, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  size_t at = hash & mask;
  while (slots_[at].id != kFree &&
         (slots_[at].hash != hash || entry(slots_[at].id).token != token)) {
    at = (at + 1) & mask;
  }
  return at;
}

void Vocabulary::grow_slots() {
  const std::vector<Slot> old = std::move(slots_);
  slots_.assign(4 * old.size(), {});
  const size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.id == kFree) continue;
    size_t at = slot.hash & mask;
    while (slots_[at].id != kFree) at = (at + 1) & mask;
    slots_[at] = slot;
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
  const TokenId id = slots_[slot_of(token, hash_of(token))].id;
  if (id == kFree) return std::nullopt;
  return id;
}

}  // namespace polygraft::tokenizer
