// model/kernels/amx_pack.h: float32 rows as bfloat16 pieces, and weights, in AMX tiles; see
// amx.cpp, which alone includes it.
#pragma once
#include "model/kernels/avx512_vector.h"

namespace polygraft::kernels {
namespace {

constexpr int64_t kTileSide = 16;   // rows, or units, of a tile
constexpr int64_t kTileDepth = 32;  // depths of a tile
constexpr int64_t kTileBytes = 1024;

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t tiles_of(int64_t count, int64_t per_tile) {
  return (count + per_tile - 1) / per_tile;
}

__mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffU : (1U << (count < 0 ? 0 : count)) - 1U);
}

__mmask32 first_words(int64_t count) {
  return static_cast<__mmask32>(count >= 32 ? ~0U : (1U << count) - 1U);
}

/// 32 values in two registers.
struct Values {
  __m512 first, second;
};

__m512 widen_half(__m256i narrow) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}

/// The nearest bfloat16 values, ties to even, taken off: what is left afterwards is exact.
[[gnu::always_inline]] inline __m512i take_piece(Values& rest) {
  const auto piece = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(rest.second, rest.first));
  rest.first = _mm512_sub_ps(rest.first, widen_half(_mm512_castsi512_si256(piece)));
  rest.second = _mm512_sub_ps(rest.second, widen_half(_mm512_extracti64x4_epi64(piece, 1)));
  return piece;
}

/// 32 values as bfloat16, rounded where they lie in float32; 0 where `lanes` is.
template <Stored kStored>
[[gnu::always_inline]] inline __m512i load_words(const char* from, __mmask32 lanes) {
  if constexpr (kStored == Stored::kBF16) return _mm512_maskz_loadu_epi16(lanes, from);
  const auto low = static_cast<__mmask16>(lanes), high = static_cast<__mmask16>(lanes >> 16);
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, from + 64),
                                                       _mm512_maskz_loadu_ps(low, from)));
}

/// Rows as tiles [row tile][depth tile][piece][16][32]; rows and depths behind the last are zero.
template <int64_t kPieces>
void pack_rows(const float* const* rows, int64_t num_rows, int64_t first_depth, int64_t depth,
               char* out) {
  const int64_t depth_tiles = tiles_of(depth, kTileDepth);
  const int64_t padded = tiles_of(num_rows, kTileSide) * kTileSide;
  for (int64_t r = 0; r < padded; ++r) {
    char* to = out + r / kTileSide * depth_tiles * kPieces * kTileBytes + r % kTileSide * 64;
    const float* row = rows[smaller(r, num_rows - 1)] + first_depth;
    for (int64_t k = 0; k < depth_tiles * kTileDepth; k += kTileDepth) {
      const int64_t count = r < num_rows ? depth - k : 0;
      Values rest{_mm512_maskz_loadu_ps(first_lanes(count), row + k),
                  _mm512_maskz_loadu_ps(first_lanes(count - 16), row + k + 16)};
      for (int64_t i = 0; i < kPieces; ++i) {
        _mm512_storeu_si512(to, take_piece(rest));
        to += kTileBytes;
      }
    }
  }
}

/// 16 x 16 elements of 4 bytes.
[[gnu::always_inline]] inline void transpose_16(__m512i (&rows)[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    rows[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    rows[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(rows[i], rows[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(rows[8 + i], rows[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    rows[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    rows[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    rows[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

/// Where a tile of weights lies, and how much of it there is.
struct WeightTile {
  const char* data;  // the first unit at the first depth
  int64_t row_bytes;
  int64_t units, depth;
  const char* ahead;  // what will be wanted soon; any address will do
};

/// Units are rows: a tile row is a pair of depths of 16 units, so pairs are transposed.
template <Stored kStored>
void pack_units(const WeightTile& tile, char* out) {
  __m512i pairs[16];
  const __mmask32 lanes = first_words(tile.depth);
#pragma GCC unroll 16
  for (int64_t u = 0; u < 16; ++u) {
    __builtin_prefetch(tile.ahead + u * tile.row_bytes, 0, 2);
    const __mmask32 here = u < tile.units ? lanes : 0;
    pairs[u] = load_words<kStored>(tile.data + u * tile.row_bytes, here);
  }
  transpose_16(pairs);
#pragma GCC unroll 16
  for (int64_t i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * 64, pairs[i]);
}

/// Depths are rows: two of them are interleaved, for two tiles of units side by side.
/// @param stride bytes from one unit tile to the next.
template <Stored kStored>
void pack_depths(const WeightTile& tile, char* out, int64_t stride) {
  const __mmask32 lanes = first_words(tile.units);
  const __m512i indices = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i first_half =  // words 0 of both rows, 1 of both rows, ...
      _mm512_or_si512(indices,
                      _mm512_slli_epi32(_mm512_add_epi32(indices, _mm512_set1_epi32(32)), 16));
  const __m512i second_half = _mm512_add_epi16(first_half, _mm512_set1_epi16(16));
#pragma GCC unroll 4
  for (int64_t i = 0; i < 16; ++i) {
    const char* even = tile.data + 2 * i * tile.row_bytes;
    __builtin_prefetch(tile.ahead + 2 * i * tile.row_bytes, 0, 2);
    __builtin_prefetch(tile.ahead + (2 * i + 1) * tile.row_bytes, 0, 2);
    const __m512i upper = load_words<kStored>(even, 2 * i < tile.depth ? lanes : 0);
    const __m512i lower =
        load_words<kStored>(even + tile.row_bytes, 2 * i + 1 < tile.depth ? lanes : 0);
    _mm512_storeu_si512(out + i * 64, _mm512_permutex2var_epi16(upper, first_half, lower));
    if (tile.units <= kTileSide) continue;
    _mm512_storeu_si512(out + stride + i * 64,
                        _mm512_permutex2var_epi16(upper, second_half, lower));
  }
}

/// A block of weights as tiles [unit tile][depth tile][16 pairs of depths][16 units][2]. Memory is
/// read along its rows.
template <Stored kStored>
void pack_weights(const Product& product, int64_t first_unit, int64_t units, int64_t first_depth,
                  int64_t depth, char* out) {
  const Matrix& weight = product.weight;
  const int64_t stride = tiles_of(depth, kTileDepth) * kTileBytes;
  if (product.units_are_rows) {
    for (int64_t u = 0; u < units; u += kTileSide) {
      for (int64_t k = 0; k < depth; k += kTileDepth) {
        const char* from = weight.from(first_unit + u, first_depth + k).data;
        pack_units<kStored>({from, weight.row_bytes, smaller(kTileSide, units - u),
                             smaller(kTileDepth, depth - k), from + kTileSide * weight.row_bytes},
                            out + u / kTileSide * stride + k / kTileDepth * kTileBytes);
      }
    }
    return;
  }
  for (int64_t k = 0; k < depth; k += kTileDepth) {
    for (int64_t u = 0; u < units; u += 2 * kTileSide) {
      const char* from = weight.from(first_depth + k, first_unit + u).data;
      pack_depths<kStored>({from, weight.row_bytes, units - u, smaller(kTileDepth, depth - k),
                            from + kTileDepth * weight.row_bytes},
                           out + u / kTileSide * stride + k / kTileDepth * kTileBytes, stride);
    }
  }
}

}  // namespace
}  // namespace polygraft::kernels
