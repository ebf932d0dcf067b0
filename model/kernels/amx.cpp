// model/kernels/amx.cpp: products with bfloat16 weights in AMX tiles, with float32 accuracy or with
// operands rounded; all else is AVX-512F's (flags in CMakeLists.txt).
//
// A tile product multiplies bfloat16 pairs exactly and adds them up in float32. A float32 value is
// the exact sum of three bfloat16 pieces (8 significant bits each), so three tile products give a
// float32 row times bfloat16 weights without any error but that of the additions (Henry, Tang &
// Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
// computations", 2019). float32 weights would take six, and be packed in pieces at every use: that
// is no faster than fused multiply-add until an expert has hundreds of rows, so they stay with
// AVX-512F. Where operands are rounded to bfloat16 (as mixed-precision training does), one piece is
// all there is of them, and float32 weights go through tiles like any others.
//
// `a` is cut into pieces once, weights once for some 256 rows; both lie as tiles of 16 rows of 64
// bytes, weights with pairs of depths side by side, as the instruction wants them. Between two
// blocks of depths sums lie as tiles, too: rows of `out` are as far apart as its width, and would
// come and go through a cache that has few places for such addresses.
// Multiplications flush subnormals; a value that is not finite, or would not be as a bfloat16,
// gives NaN in its row and unit.
#if defined(__x86_64__)
#include <algorithm>
#include <utility>

#include "model/kernels/amx_pack.h"
#include "model/kernels/body.h"

namespace polygraft::kernels {
namespace {

constexpr int64_t kUnitBlock = 192;   // units of weights: a multiple of 2 and 3 tiles
constexpr int64_t kDepthBlock = 256;  // depths of both
constexpr int64_t kDepthTiles = kDepthBlock / kTileDepth;
constexpr int64_t kRowTiles = 16;  // of `a` at once: weights are packed once for all of them
constexpr int64_t kUnitTiles = kUnitBlock / kTileSide;

/// The instruction's register file: 8 tiles of 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Holds the shapes for as long as a product runs; afterwards the registers are free again.
struct TileSession {
  TileSession() {
    const TileShapes shapes;
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  ~TileSession() { asm volatile("tilerelease" : :); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;
};

// The compiler's intrinsics want literals where these take template arguments.
template <int kTile>
void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
void store_tile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(kTile) : "memory");
}
template <int kTile>
void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}
template <int kSum, int kA, int kW>
void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSum), "i"(kA), "i"(kW));
}

/// Calls each(integral_constant) for 0 .. kCount - 1.
template <int kCount, class Each>
void repeat(const Each& each) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) {
    (each(std::integral_constant<int, kIndex>()), ...);
  }
  (std::make_integer_sequence<int, kCount>());
}

/// kRows x kUnits tiles of sums, each of 16 x 16 floats.
struct TileTask {
  const char *a, *w;           // the first tile of the first row and unit tile
  int64_t a_stride, w_stride;  // bytes from one row or unit tile to the next
  int64_t depth_tiles;
  char* sums;
  int64_t sums_stride;  // bytes from one row tile to the next; unit tiles follow one another
  bool accumulate;
};

template <int64_t kPieces, int kRows, int kUnits>
void multiply_task(const TileTask& task) {
  constexpr int kFirstA = kRows * kUnits, kFirstW = kFirstA + kRows;
  static_assert(kFirstW + kUnits <= 8);
  const auto sums = [&](int r, int u) { return task.sums + r * task.sums_stride + u * kTileBytes; };
  repeat<kRows>([&](auto r) {
    repeat<kUnits>([&](auto u) {
      if (task.accumulate) {
        load_tile<r * kUnits + u>(sums(r, u), 64);
      } else {
        clear_tile<r * kUnits + u>();
      }
    });
  });
  const char *a = task.a, *w = task.w;
  for (int64_t k = 0; k < task.depth_tiles; ++k) {
    repeat<kUnits>([&](auto u) { load_tile<kFirstW + u>(w + u * task.w_stride, 64); });
    w += kTileBytes;
    for (int64_t piece = 0; piece < kPieces; ++piece) {
      repeat<kRows>([&](auto r) { load_tile<kFirstA + r>(a + r * task.a_stride, 64); });
      a += kTileBytes;
      repeat<kRows>([&](auto r) {
        repeat<kUnits>([&](auto u) { multiply_tiles<r * kUnits + u, kFirstA + r, kFirstW + u>(); });
      });
    }
  }
  repeat<kRows>(
      [&](auto r) { repeat<kUnits>([&](auto u) { store_tile<r * kUnits + u>(sums(r, u), 64); }); });
}

template <int64_t kPieces>
void run_task(int64_t row_tiles, int64_t unit_tiles, const TileTask& task) {
  if (row_tiles == 2) {
    return unit_tiles == 2 ? multiply_task<kPieces, 2, 2>(task)
                           : multiply_task<kPieces, 2, 1>(task);
  }
  if (unit_tiles == 3) return multiply_task<kPieces, 1, 3>(task);
  return unit_tiles == 2 ? multiply_task<kPieces, 1, 2>(task) : multiply_task<kPieces, 1, 1>(task);
}

/// A stretch of `out`, whose sums are in tiles [row tile][unit tile][16][16].
struct OutBlock {
  float* out;
  int64_t stride;  // floats
  int64_t rows, units;
};

/// Calls each(lanes, sums, out) for all stretches of 16 units of a row.
/// @param tile_row bytes of sums from one row tile to the next
template <class Each>
[[gnu::always_inline]] inline void for_stretches(const OutBlock& block, char* sums,
                                                 int64_t tile_row, const Each& each) {
  for (int64_t r = 0; r < block.rows; ++r) {
    char* from = sums + r / kTileSide * tile_row + r % kTileSide * 64;
    for (int64_t u = 0; u < block.units; u += kTileSide) {
      each(first_lanes(block.units - u), reinterpret_cast<float*>(from),
           block.out + r * block.stride + u);
      from += kTileBytes;
    }
  }
}

void load_sums(const OutBlock& block, char* sums, int64_t tile_row) {
  for_stretches(block, sums, tile_row, [](__mmask16 lanes, float* sum, const float* out) {
    _mm512_storeu_ps(sum, _mm512_maskz_loadu_ps(lanes, out));
  });
}

void store_sums(const OutBlock& block, char* sums, int64_t tile_row) {
  for_stretches(block, sums, tile_row, [](__mmask16 lanes, const float* sum, float* out) {
    _mm512_mask_storeu_ps(out, lanes, _mm512_loadu_ps(sum));
  });
}

/// Tiles of some rows and units, at some of the depths.
struct Packed {
  const char *a, *w;
  int64_t a_stride;  // bytes from one row tile to the next
  int64_t depth_tiles;
  bool is_first, is_last;  // of the depths
};

/// @param sums a tile for each of the block's, between the first and the last depths
template <int64_t kPieces>
void multiply_packed(const Packed& packed, const OutBlock& block, bool accumulate, char* sums) {
  const int64_t row_tiles = tiles_of(block.rows, kTileSide);
  const int64_t unit_tiles = tiles_of(block.units, kTileSide);
  const int64_t rows_at_once = row_tiles == 1 ? 1 : 2, units_at_once = row_tiles == 1 ? 3 : 2;
  const int64_t w_stride = packed.depth_tiles * kTileBytes;
  for (int64_t u = 0; u < unit_tiles; u += units_at_once) {
    const int64_t units_here = smaller(units_at_once, unit_tiles - u);
    for (int64_t r = 0; r < row_tiles; r += rows_at_once) {
      const int64_t rows_here = smaller(rows_at_once, row_tiles - r);
      const OutBlock part{block.out + r * kTileSide * block.stride + u * kTileSide, block.stride,
                          smaller(rows_here * kTileSide, block.rows - r * kTileSide),
                          smaller(units_here * kTileSide, block.units - u * kTileSide)};
      const int64_t tile_row = units_here * kTileBytes;
      // Sums that do not wait for other depths need not leave the nearest cache.
      const bool waits = !packed.is_first || !packed.is_last;
      char* here = waits ? sums + (u * row_tiles + r * units_here) * kTileBytes : sums;
      if (accumulate && packed.is_first) load_sums(part, here, tile_row);
      run_task<kPieces>(
          rows_here, units_here,
          {packed.a + r * packed.a_stride, packed.w + u * w_stride, packed.a_stride, w_stride,
           packed.depth_tiles, here, tile_row, accumulate || !packed.is_first});
      if (packed.is_last) store_sums(part, here, tile_row);
    }
  }
}

// All rows at one block of depths in three pieces, twice.
constexpr int64_t kBytesOfA = 2 * 3 * kRowTiles * kDepthTiles * kTileBytes;
constexpr int64_t kBytesOfW = kUnitTiles * kDepthTiles * kTileBytes;
constexpr int64_t kBytesOfSums = kRowTiles * kUnitTiles * kTileBytes;
constexpr int64_t kScratchFloats = (kBytesOfA + kBytesOfW + kBytesOfSums) / 4;

/// Some rows and depths of a product, whose pieces fit the scratch.
struct Part {
  int64_t first_row, rows, first_depth, depth;
};

template <int64_t kPieces, Stored kStored>
void multiply_part(const Product& product, const Part& part, float* scratch) {
  char* sums = reinterpret_cast<char*>(scratch);
  char *w = sums + kBytesOfSums, *a = w + kBytesOfW;
  const int64_t a_stride = tiles_of(part.depth, kTileDepth) * kPieces * kTileBytes;
  pack_rows<kPieces>(product.a_rows + part.first_row, part.rows, part.first_depth, part.depth, a);
  for (int64_t unit = 0; unit < product.num_units; unit += kUnitBlock) {
    const int64_t units = smaller(kUnitBlock, product.num_units - unit);
    const OutBlock block{product.out + part.first_row * product.out_stride + unit,
                         product.out_stride, part.rows, units};
    for (int64_t k = 0; k < part.depth; k += kDepthBlock) {
      const int64_t depth = smaller(kDepthBlock, part.depth - k);
      pack_weights<kStored>(product, unit, units, part.first_depth + k, depth, w);
      multiply_packed<kPieces>({a + k / kTileDepth * kPieces * kTileBytes, w, a_stride,
                                tiles_of(depth, kTileDepth), k == 0, k + depth == part.depth},
                               block, product.accumulate || part.first_depth > 0, sums);
    }
  }
}

template <int64_t kPieces, Stored kStored>
void tile_product(const Product& product, float* scratch) {
  const TileSession session;
  constexpr int64_t kRowTileBytes = kDepthTiles * kPieces * kTileBytes;  // at a block of depths
  const int64_t row_tiles =
      std::clamp<int64_t>(tiles_of(product.num_rows, kTileSide), 1, kRowTiles);
  const int64_t most_rows = row_tiles * kTileSide;
  const int64_t most_depth = kBytesOfA / (row_tiles * kRowTileBytes) * kDepthBlock;
  for (int64_t row = 0; row < product.num_rows; row += most_rows) {
    for (int64_t k = 0; k < product.depth; k += most_depth) {
      multiply_part<kPieces, kStored>(product,
                                      {row, smaller(most_rows, product.num_rows - row), k,
                                       smaller(most_depth, product.depth - k)},
                                      scratch);
    }
  }
}

/// Three pieces have a float32 value's accuracy, and serve bfloat16 weights alone.
template <int64_t kPieces>
void product(const Product& product, float* scratch) {
  const Stored stored = product.weight.stored;
  if (product.depth > 0 && stored == Stored::kBF16) {
    return tile_product<kPieces, Stored::kBF16>(product, scratch);
  }
  if constexpr (kPieces == 1) {
    if (product.depth > 0 && stored == Stored::kF32) {
      return tile_product<kPieces, Stored::kF32>(product, scratch);
    }
  }
  Body<Avx512>::product(product, scratch);
}

template <int64_t kPieces>
constexpr Operations amx_table(const char* name) {
  Operations operations = Body<Avx512>::operations(name);
  operations.tile_rows = 2 * kTileSide;
  operations.rows_at_once = (kPieces == 1 ? kRowTiles : kRowTiles / 2) * kTileSide;
  operations.product_scratch = std::max(kScratchFloats, Body<Avx512>::kScratch);
  operations.product = product<kPieces>;
  return operations;
}
constexpr Operations kOperations = amx_table<3>("AMX-BF16");
constexpr Operations kRoundingOperations = amx_table<1>("AMX-BF16-rounded");

}  // namespace

const Operations& amx_operations() { return kOperations; }
const Operations& amx_rounding_operations() { return kRoundingOperations; }

}  // namespace polygraft::kernels
#endif
