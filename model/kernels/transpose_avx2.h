// model/kernels/transpose_avx2.h: 8 x 8 blocks read from eight rows, widened to float32 and
// transposed in registers; for files compiled with AVX2 or more. Sixteen-bit values are transposed
// before they are widened, which takes half of the shuffles. `I` keeps the instantiations of two
// files apart.
#pragma once
#include <immintrin.h>

#include "model/kernels/operations.h"

namespace polygraft::kernels {

template <class I>
struct TransposeAvx2 {
  static __m256i two_rows16(const char* low, const char* high) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(low));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(high));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
  }
  static __m256 two_rows32(const char* low, const char* high) {
    const __m128 a = _mm_loadu_ps(reinterpret_cast<const float*>(low));
    const __m128 b = _mm_loadu_ps(reinterpret_cast<const float*>(high));
    return _mm256_insertf128_ps(_mm256_castps128_ps256(a), b, 1);
  }

  /// Both lanes hold rows 0 to 3 (low) and 4 to 7 (high) of the columns 2i and 2i + 1 in word[i].
  static void words(const char* const* rows, int64_t at, __m256i* word) {
    const __m256i r0 = two_rows16(rows[0] + at, rows[4] + at);
    const __m256i r1 = two_rows16(rows[1] + at, rows[5] + at);
    const __m256i r2 = two_rows16(rows[2] + at, rows[6] + at);
    const __m256i r3 = two_rows16(rows[3] + at, rows[7] + at);
    const __m256i t0 = _mm256_unpacklo_epi16(r0, r1), t1 = _mm256_unpackhi_epi16(r0, r1);
    const __m256i t2 = _mm256_unpacklo_epi16(r2, r3), t3 = _mm256_unpackhi_epi16(r2, r3);
    word[0] = _mm256_unpacklo_epi32(t0, t2);
    word[1] = _mm256_unpackhi_epi32(t0, t2);
    word[2] = _mm256_unpacklo_epi32(t1, t3);
    word[3] = _mm256_unpackhi_epi32(t1, t3);
  }

  static void bf16(const char* const* rows, int64_t at, float* out, int64_t stride) {
    __m256i word[4];
    words(rows, at, word);
    const __m256i zero = _mm256_setzero_si256();
    for (int i = 0; i < 4; ++i) {  // a bfloat16 above sixteen zeros is the float32
      const __m256i even = _mm256_unpacklo_epi16(zero, word[i]);
      const __m256i odd = _mm256_unpackhi_epi16(zero, word[i]);
      _mm256_storeu_ps(out + (2 * i) * stride, _mm256_castsi256_ps(even));
      _mm256_storeu_ps(out + (2 * i + 1) * stride, _mm256_castsi256_ps(odd));
    }
  }

  static void f16(const char* const* rows, int64_t at, float* out, int64_t stride) {
    __m256i word[4];
    words(rows, at, word);
    for (int i = 0; i < 4; ++i) {
      const __m256i columns = _mm256_permute4x64_epi64(word[i], 0b11011000);
      const __m128i even = _mm256_castsi256_si128(columns);
      const __m128i odd = _mm256_extracti128_si256(columns, 1);
      _mm256_storeu_ps(out + (2 * i) * stride, _mm256_cvtph_ps(even));
      _mm256_storeu_ps(out + (2 * i + 1) * stride, _mm256_cvtph_ps(odd));
    }
  }

  static void f32(const char* const* rows, int64_t at, float* out, int64_t stride) {
    for (int half = 0; half < 2; ++half) {
      const int64_t from = at + 16 * half;
      const __m256 r0 = two_rows32(rows[0] + from, rows[4] + from);
      const __m256 r1 = two_rows32(rows[1] + from, rows[5] + from);
      const __m256 r2 = two_rows32(rows[2] + from, rows[6] + from);
      const __m256 r3 = two_rows32(rows[3] + from, rows[7] + from);
      const __m256 t0 = _mm256_unpacklo_ps(r0, r1), t1 = _mm256_unpackhi_ps(r0, r1);
      const __m256 t2 = _mm256_unpacklo_ps(r2, r3), t3 = _mm256_unpackhi_ps(r2, r3);
      float* to = out + 4 * half * stride;
      _mm256_storeu_ps(to, _mm256_shuffle_ps(t0, t2, 0x44));
      _mm256_storeu_ps(to + stride, _mm256_shuffle_ps(t0, t2, 0xee));
      _mm256_storeu_ps(to + 2 * stride, _mm256_shuffle_ps(t1, t3, 0x44));
      _mm256_storeu_ps(to + 3 * stride, _mm256_shuffle_ps(t1, t3, 0xee));
    }
  }

  template <Stored kStored>
  static void block(const char* const* rows, int64_t at, float* out, int64_t stride) {
    if constexpr (kStored == Stored::kF32) f32(rows, at, out, stride);
    if constexpr (kStored == Stored::kBF16) bf16(rows, at, out, stride);
    if constexpr (kStored == Stored::kF16) f16(rows, at, out, stride);
  }
};

}  // namespace polygraft::kernels
