// model/device/number.h: bfloat16 as bodies store it, and float32 as they compute. Eight values of
// a row make one 16-byte access; widths of rows are therefore multiples of eight.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "model/device/view.h"

namespace polygraft::device {

constexpr int kLanes = 8;  // values of one access

struct BFloat16 {
  uint16_t bits;
};

POLYGRAFT_BODY inline float float_of_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

POLYGRAFT_BODY inline float to_float(BFloat16 value) {
  return float_of_bits(uint32_t{value.bits} << 16);
}

/// To the nearest, ties to even; a NaN stays one.
POLYGRAFT_BODY inline BFloat16 to_bfloat16(float value) {
#ifdef __CUDA_ARCH__
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
#else
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (std::isnan(value)) return {0x7FFF};
  return {static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16)};
#endif
}

/// Eight bfloat16 values, two to a word, as they lie in memory.
struct alignas(16) Lanes {
  uint32_t words[kLanes / 2];
};

struct Floats {
  float values[kLanes];
};

POLYGRAFT_BODY inline Floats to_floats(Lanes lanes) {
  Floats floats;
  for (int i = 0; i < kLanes; i += 2) {
    const uint32_t word = lanes.words[i / 2];
    floats.values[i] = float_of_bits(word << 16);
    floats.values[i + 1] = float_of_bits(word & 0xFFFF0000u);
  }
  return floats;
}

POLYGRAFT_BODY inline Lanes to_lanes(const Floats& floats) {
  Lanes lanes;
  for (int i = 0; i < kLanes; i += 2) {
    const uint32_t low = to_bfloat16(floats.values[i]).bits;
    const uint32_t high = to_bfloat16(floats.values[i + 1]).bits;
    lanes.words[i / 2] = low | high << 16;
  }
  return lanes;
}

/// log(exp(a) + exp(b)); exactly `a` when b is minus infinity.
POLYGRAFT_BODY inline float log_add_exp(float a, float b) {
  const float high = a > b ? a : b;
  const float low = a > b ? b : a;
  return high + log1pf(expf(low - high));
}

}  // namespace polygraft::device
