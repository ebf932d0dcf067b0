// core/random.h: counter-based random streams (Philox 4x32-10, Salmon et al. 2011).
// A stream is (seed, name): the same pair gives the same numbers on every machine, whatever else
// was drawn.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace polygraft {

class RandomStream {
 public:
  RandomStream(uint64_t seed, std::string_view name);

  uint32_t next_u32();
  uint64_t next_u64();
  double uniform();  ///< [0, 1), 53 bits
  float normal();    ///< mean 0, variance 1 (Box-Muller)
  /// Normal numbers, many at once: from the stream's next multiple of 64 words on, 64 words give 64
  /// of them. Words 4b to 4b + 3 are radius, angle, radius, angle, and their numbers, cosine and
  /// sine of the first, cosine and sine of the second, stand at b, 16 + b, 32 + b and 48 + b.
  void fill_normal(std::span<float> values, float mean, float deviation);
  uint64_t below(uint64_t bound);  ///< uniform in [0, bound), unbiased; bound > 0
  std::vector<int64_t> permutation(int64_t size);

  /// Position in the stream, for checkpoints. `seek` returns to it exactly.
  uint64_t position() const { return position_; }
  void seek(uint64_t position);

 private:
  void refill();
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> block_{};
  uint64_t position_ = 0;  // in 32-bit words
  uint64_t block_index_ = UINT64_MAX;
};

}  // namespace polygraft
