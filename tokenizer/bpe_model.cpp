// tokenizer/bpe_model.cpp: see bpe_model.h.
#include "tokenizer/bpe_model.h"

#include <algorithm>
#include <atomic>
#include <functional>

#include "tokenizer/utf8.h"
#include "tokenizer/word_cache.h"

namespace polygraft::tokenizer {
namespace {

/// Up to this many symbols the pair to merge is found by looking at all of them.
constexpr size_t kMostSymbolsScanned = 48;

uint64_t next_serial() {
  static std::atomic<uint64_t> counter{0};
  return ++counter;
}

/// A piece's symbols as a doubly linked list over arrays, and a heap of (rank, position).
struct LongMerge {
  std::vector<int32_t> previous, next;
  std::vector<uint64_t> heap;  ///< rank << 32 | position, smallest first

  void push(const MergeTable& merges, const std::vector<TokenId>& ids, size_t first, int32_t left) {
    const int32_t right = next[left];
    if (right < 0) return;
    const Merge merge = merges.find(ids[first + left], ids[first + right]);
    if (!merge) return;
    heap.push_back((static_cast<uint64_t>(merge.rank) << 32) | static_cast<uint32_t>(left));
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  uint64_t pop() {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const uint64_t smallest = heap.back();
    heap.pop_back();
    return smallest;
  }
};

}  // namespace

BpeModel::BpeModel(BpeParts parts) : parts_(std::move(parts)), serial_(next_serial()) {}

void BpeModel::append_symbols(std::string_view piece, std::vector<TokenId>& ids) const {
  parts_.byte_level ? append_bytes(piece, ids) : append_characters(piece, ids);
}

void BpeModel::append_bytes(std::string_view piece, std::vector<TokenId>& ids) const {
  bool after_unknown = false;
  for (const char byte : piece) {
    const TokenId id = parts_.byte_ids[static_cast<unsigned char>(byte)];
    if (id >= 0) {
      ids.push_back(id);
    } else if (parts_.unknown && !(after_unknown && parts_.fuse_unknown)) {
      ids.push_back(*parts_.unknown);
    }
    after_unknown = id < 0;
  }
}

bool BpeModel::append_fallback(std::string_view character, std::vector<TokenId>& ids) const {
  const auto id_of = [this](char byte) {
    return parts_.byte_ids[static_cast<unsigned char>(byte)];
  };
  if (std::any_of(character.begin(), character.end(), [&](char b) { return id_of(b) < 0; })) {
    return false;
  }
  for (const char byte : character) ids.push_back(id_of(byte));
  return true;
}

void BpeModel::append_characters(std::string_view piece, std::vector<TokenId>& ids) const {
  bool unknown_waits = false;  // the reference writes it before the next character it knows
  const auto write_unknown = [&] {
    if (unknown_waits) ids.push_back(*parts_.unknown);
    unknown_waits = false;
  };
  for (size_t position = 0; position < piece.size();) {
    const size_t begin = position;
    const TokenId id = parts_.characters.find(next_code_point(piece, position));
    if (id >= 0) {
      write_unknown();
      ids.push_back(id);
    } else if (!append_fallback(piece.substr(begin, position - begin), ids) && parts_.unknown) {
      if (!parts_.fuse_unknown) write_unknown();
      unknown_waits = true;
    }
  }
  write_unknown();
}

void BpeModel::merge_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  const size_t first = ids.size();
  append_symbols(piece, ids);
  if (ids.size() - first <= kMostSymbolsScanned) {
    merge_short(ids, first);
  } else {
    merge_long(ids, first);
  }
}

void BpeModel::merge_short(std::vector<TokenId>& ids, size_t first) const {
  std::array<Merge, kMostSymbolsScanned> merge_with_next;
  TokenId* symbols = ids.data() + first;
  size_t num_symbols = ids.size() - first;
  const auto look_up = [&](size_t i) {
    merge_with_next[i] = parts_.merges.find(symbols[i], symbols[i + 1]);
  };
  for (size_t i = 0; i + 1 < num_symbols; ++i) look_up(i);
  while (num_symbols > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < num_symbols; ++i) {
      if (merge_with_next[i].rank < merge_with_next[best].rank) best = i;
    }
    if (!merge_with_next[best]) break;
    symbols[best] = merge_with_next[best].result;
    std::copy(symbols + best + 2, symbols + num_symbols, symbols + best + 1);
    std::copy(merge_with_next.begin() + static_cast<ptrdiff_t>(best) + 1,
              merge_with_next.begin() + static_cast<ptrdiff_t>(num_symbols) - 1,
              merge_with_next.begin() + static_cast<ptrdiff_t>(best));
    --num_symbols;
    if (best > 0) look_up(best - 1);
    if (best + 1 < num_symbols) look_up(best);
  }
  ids.resize(first + num_symbols);
}

void BpeModel::merge_long(std::vector<TokenId>& ids, size_t first) const {
  thread_local LongMerge work;
  const auto num_symbols = static_cast<int32_t>(ids.size() - first);
  work.previous.resize(num_symbols);
  work.next.resize(num_symbols);
  work.heap.clear();
  for (int32_t i = 0; i < num_symbols; ++i) {
    work.previous[i] = i - 1;
    work.next[i] = i + 1 < num_symbols ? i + 1 : -1;
  }
  for (int32_t i = 0; i < num_symbols; ++i) work.push(parts_.merges, ids, first, i);
  while (!work.heap.empty()) {
    const uint64_t top = work.pop();
    const auto left = static_cast<int32_t>(top & UINT32_MAX);
    const int32_t right = work.next[left];
    if (ids[first + left] < 0 || right < 0) continue;
    const Merge merge = parts_.merges.find(ids[first + left], ids[first + right]);
    if (merge.rank != top >> 32) continue;  // one of the two was merged with another meanwhile
    ids[first + left] = merge.result;
    ids[first + right] = -1;
    work.next[left] = work.next[right];
    if (work.next[left] >= 0) work.previous[work.next[left]] = left;
    if (work.previous[left] >= 0) work.push(parts_.merges, ids, first, work.previous[left]);
    work.push(parts_.merges, ids, first, left);
  }
  const auto begin = ids.begin() + static_cast<ptrdiff_t>(first);
  ids.erase(std::remove(begin, ids.end(), -1), ids.end());
}

void BpeModel::encode_uncached(std::string_view piece, std::vector<TokenId>& ids) const {
  if (!parts_.whole_pieces.empty()) {
    const auto whole = parts_.whole_pieces.find(std::string(piece));
    if (whole != parts_.whole_pieces.end()) return ids.push_back(whole->second);
  }
  merge_piece(piece, ids);
}

void BpeModel::encode_piece(std::string_view piece, std::vector<TokenId>& ids) const {
  if (piece.empty()) return;
  WordCache::of_model(serial_).append(
      piece, ids, [&](std::vector<TokenId>& fresh) { encode_uncached(piece, fresh); });
}

}  // namespace polygraft::tokenizer
