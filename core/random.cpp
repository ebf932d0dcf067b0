// core/random.cpp: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011; reference implementation: Random123, philox.h). The key is the head of
// SHA-256(seed, name); the counter is the block.
#include "core/random.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "core/box_muller.h"
#include "core/hash.h"
#include "core/philox.h"

// The same function for several vector widths; the loader picks by processor. IEEE operations
// without contraction give the same bits in all of them.
#if defined(__x86_64__) && defined(__GNUC__)
#define VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#else
#define VECTOR_CLONES
#endif

namespace polygraft {
namespace {

std::array<uint32_t, 2> make_key(uint64_t seed, std::string_view name) {
  const std::string digest = sha256(std::to_string(seed) + "/" + std::string(name));
  return {static_cast<uint32_t>(std::stoul(digest.substr(0, 8), nullptr, 16)),
          static_cast<uint32_t>(std::stoul(digest.substr(8, 8), nullptr, 16))};
}

constexpr size_t kWordsPerNormal = 4;
constexpr size_t kPiece = 2048;  // normal numbers that are drawn at a time

/// Blocks `first`, `first` + 1, ... of the stream, one after another in `words`. (In vectors over
/// blocks this was slower: AVX2 has no 64-bit product.)
void draw_blocks(const std::array<uint32_t, 2>& key, uint64_t first, std::span<uint32_t> words) {
  for (size_t i = 0; i < words.size() / 4; ++i) {
    const uint64_t index = first + i;
    const auto block = philox_4x32_10(
        {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 0}, key);
    for (size_t k = 0; k < 4; ++k) words[4 * i + k] = block[k];
  }
}

/// What normal() would give for each of `values` from word `first_word` of the stream on.
VECTOR_CLONES void fill_piece(const std::array<uint32_t, 2>& key, uint64_t first_word,
                              std::span<float> values, double mean, double deviation) {
  std::array<uint32_t, 4 * (kPiece + 1)> words;
  const size_t num_blocks = values.size() + 1;  // one more where the first begins within a block
  draw_blocks(key, first_word / 4, std::span(words).first(4 * num_blocks));
  const uint32_t* const from = words.data() + first_word % 4;
  for (size_t i = 0; i < values.size(); ++i) {
    const uint64_t radius_bits = from[4 * i] | uint64_t{from[4 * i + 1]} << 32;
    const uint64_t angle_bits = from[4 * i + 2] | uint64_t{from[4 * i + 3]} << 32;
    values[i] = static_cast<float>(mean + deviation * box_muller::normal(radius_bits, angle_bits));
  }
}

}  // namespace

RandomStream::RandomStream(uint64_t seed, std::string_view name) : key_(make_key(seed, name)) {}

void RandomStream::refill() {
  block_index_ = position_ / 4;
  const std::array<uint32_t, 4> counter = {static_cast<uint32_t>(block_index_),
                                           static_cast<uint32_t>(block_index_ >> 32), 0, 0};
  block_ = philox_4x32_10(counter, key_);
}

uint32_t RandomStream::next_u32() {
  if (position_ / 4 != block_index_) refill();
  return block_[position_++ % 4];
}

uint64_t RandomStream::next_u64() {
  const uint64_t low = next_u32();
  return low | uint64_t{next_u32()} << 32;
}

double RandomStream::uniform() { return box_muller::uniform(next_u64()); }

double RandomStream::normal() {
  const uint64_t radius_bits = next_u64();
  return box_muller::normal(radius_bits, next_u64());
}

void RandomStream::fill_normal(std::span<float> values, double mean, double deviation) {
  for (size_t first = 0; first < values.size(); first += kPiece) {
    const size_t count = std::min(kPiece, values.size() - first);
    fill_piece(key_, position_, values.subspan(first, count), mean, deviation);
    position_ += kWordsPerNormal * count;
  }
}

uint64_t RandomStream::below(uint64_t bound) {
  const uint64_t first_fair =
      (0 - bound) % bound;  // 2^64 mod bound: the draws below it are the surplus
  uint64_t drawn = next_u64();
  while (drawn < first_fair) drawn = next_u64();
  return drawn % bound;
}

std::vector<int64_t> RandomStream::permutation(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t left = order.size(); left > 1; --left) {  // Fisher-Yates
    std::swap(order[left - 1], order[below(left)]);
  }
  return order;
}

void RandomStream::seek(uint64_t position) { position_ = position; }

}  // namespace polygraft
