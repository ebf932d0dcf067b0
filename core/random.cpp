// core/random.cpp: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011; reference implementation: Random123, philox.h). The key is the head of
// SHA-256(seed, name); the counter is the block.
#include "core/random.h"

#include <algorithm>
#include <cstring>
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

constexpr size_t kLanes = 16;          // blocks that are drawn side by side
constexpr size_t kGroup = 4 * kLanes;  // words of theirs, and the normal numbers made of them
using Group = std::array<std::array<float, kLanes>, 4>;

/// The four words of several blocks, word by word.
using Lanes = std::array<std::array<uint32_t, kLanes>, 4>;

inline Lanes draw_lanes(std::array<uint32_t, 2> key, uint64_t first) {
  Lanes lanes;
  for (size_t b = 0; b < kLanes; ++b) {
    const auto block = philox_4x32_10(
        {static_cast<uint32_t>(first + b), static_cast<uint32_t>((first + b) >> 32), 0, 0}, key);
    for (size_t k = 0; k < 4; ++k) lanes[k][b] = block[k];
  }
  return lanes;
}

/// The stream's normal numbers of whole groups from block `first_block` on.
VECTOR_CLONES void fill_groups(const std::array<uint32_t, 2>& key, uint64_t first_block,
                               std::span<Group> groups, float mean, float deviation) {
  for (size_t g = 0; g < groups.size(); ++g) {
    const Lanes lanes = draw_lanes(key, first_block + g * kLanes);
    Group& group = groups[g];
    for (size_t b = 0; b < kLanes; ++b) {
      const auto first = box_muller::normal(lanes[0][b], lanes[1][b]);
      const auto second = box_muller::normal(lanes[2][b], lanes[3][b]);
      group[0][b] = mean + deviation * first.cosine;
      group[1][b] = mean + deviation * first.sine;
      group[2][b] = mean + deviation * second.cosine;
      group[3][b] = mean + deviation * second.sine;
    }
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

double RandomStream::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }

float RandomStream::normal() {
  const uint32_t radius_bits = next_u32();
  return box_muller::normal(radius_bits, next_u32()).cosine;
}

void RandomStream::fill_normal(std::span<float> values, float mean, float deviation) {
  std::array<Group, 32> groups;
  constexpr size_t kMost = groups.size() * kGroup;
  position_ = (position_ + kGroup - 1) / kGroup * kGroup;
  while (!values.empty()) {
    const size_t count = std::min(kMost, values.size());
    const size_t num_groups = (count + kGroup - 1) / kGroup;
    fill_groups(key_, position_ / 4, std::span(groups).first(num_groups), mean, deviation);
    std::memcpy(values.data(), groups.data(), count * sizeof(float));
    position_ += num_groups * kGroup;
    values = values.subspan(count);
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
