// model/kernels/avx2.cpp: the operations in AVX2 with FMA and F16C (flags in CMakeLists.txt).
#if defined(__x86_64__)
#include <immintrin.h>

#include "model/kernels/body.h"
#include "model/kernels/transpose_avx2.h"

namespace polygraft::kernels {
namespace {

struct Avx2 {
  using Reg = __m256;
  static constexpr bool kIsFast = true;
  static constexpr int kLanes = 8;
  static constexpr int kPanelRegs = 2;  // 6 x 2 sums, 2 of the panel and 1 of a row: 15 of 16
  static constexpr int kTileRows = 6;
  static constexpr int kTransposed = 8;  // rows and columns of a transposed block

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg set(float value) { return _mm256_set1_ps(value); }
  static Reg load(const float* in) { return _mm256_loadu_ps(in); }
  static void store(float* out, Reg value) { _mm256_storeu_ps(out, value); }
  /// Up to kLanes - 1 values: what is behind them is neither read nor written, and zero in a Reg.
  static __m256i mask(int64_t count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes);
  }
  static Reg load_first(const float* in, int64_t count) {
    return _mm256_maskload_ps(in, mask(count));
  }
  static void store_first(float* out, int64_t count, Reg value) {
    _mm256_maskstore_ps(out, mask(count), value);
  }
  static Reg first(Reg value, int64_t count) {
    return _mm256_and_ps(value, _mm256_castsi256_ps(mask(count)));
  }
  static Reg broadcast(const float* in) { return _mm256_broadcast_ss(in); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg subtract(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  static Reg divide(Reg a, Reg b) { return _mm256_div_ps(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  /// The second operand where either is NaN.
  static Reg at_most(Reg limit, Reg x) { return _mm256_min_ps(limit, x); }
  static Reg at_least(Reg limit, Reg x) { return _mm256_max_ps(limit, x); }
  static Reg nearest(Reg x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static Reg times_power_of_two(Reg x, Reg n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23)));
  }

  template <Stored kStored>
  static Reg load_wide(const char* in) {
    if constexpr (kStored == Stored::kF32) {
      return _mm256_loadu_ps(reinterpret_cast<const float*>(in));
    } else {
      const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
      if constexpr (kStored == Stored::kF16) return _mm256_cvtph_ps(narrow);
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
    }
  }
  template <Stored kStored>
  static void transpose(const char* const* rows, int64_t at, float* out, int64_t stride) {
    TransposeAvx2<Avx2>::block<kStored>(rows, at, out, stride);
  }
};

constexpr Operations kOperations = Body<Avx2>::operations("AVX2");

}  // namespace

const Operations& avx2_operations() { return kOperations; }

}  // namespace polygraft::kernels
#endif
