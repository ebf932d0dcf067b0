// model/kernels/avx512_vector.h: the vector type of AVX-512F; included by avx512.cpp and amx.cpp,
// each with its own flags, hence in an anonymous namespace.
#pragma once
#include <immintrin.h>

#include "model/kernels/operations.h"
#include "model/kernels/transpose_avx2.h"

namespace polygraft::kernels {
namespace {

struct Avx512 {
  using Reg = __m512;
  static constexpr bool kIsFast = true;
  static constexpr int kLanes = 16;
  static constexpr int kPanelRegs = 2;  // 12 x 2 sums, 2 of the panel and 1 of a row: 27 of 32
  static constexpr int kTileRows = 12;
  static constexpr int kTransposed = 8;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg set(float value) { return _mm512_set1_ps(value); }
  static Reg load(const float* in) { return _mm512_loadu_ps(in); }
  static void store(float* out, Reg value) { _mm512_storeu_ps(out, value); }
  static __mmask16 mask(int64_t count) { return static_cast<__mmask16>((1U << count) - 1U); }
  static Reg load_first(const float* in, int64_t count) {
    return _mm512_maskz_loadu_ps(mask(count), in);
  }
  static void store_first(float* out, int64_t count, Reg value) {
    _mm512_mask_storeu_ps(out, mask(count), value);
  }
  static Reg first(Reg value, int64_t count) { return _mm512_maskz_mov_ps(mask(count), value); }
  static Reg broadcast(const float* in) { return _mm512_set1_ps(*in); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg subtract(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg divide(Reg a, Reg b) { return _mm512_div_ps(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg at_most(Reg limit, Reg x) { return _mm512_min_ps(limit, x); }
  static Reg at_least(Reg limit, Reg x) { return _mm512_max_ps(limit, x); }
  static Reg nearest(Reg x) {
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Reg times_power_of_two(Reg x, Reg n) {
    const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_mul_ps(x, _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23)));
  }

  template <Stored kStored>
  static Reg load_wide(const char* in) {
    if constexpr (kStored == Stored::kF32) {
      return _mm512_loadu_ps(in);
    } else {
      const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
      if constexpr (kStored == Stored::kF16) return _mm512_cvtph_ps(narrow);
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
    }
  }
  template <Stored kStored>
  static void transpose(const char* const* rows, int64_t at, float* out, int64_t stride) {
    TransposeAvx2<Avx512>::block<kStored>(rows, at, out, stride);
  }
};

}  // namespace
}  // namespace polygraft::kernels
