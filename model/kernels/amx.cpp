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
// `a` is cut into pieces once per depth block, weights once per block of units; both lie as tiles
// of 16 rows of 64 bytes, weights with pairs of depths side by side, as the instruction wants them.
// Multiplications flush subnormals; a value that is not finite, or would not be as a bfloat16,
// gives NaN in its row and unit.
#if defined(__x86_64__)
#include <algorithm>
#include <utility>

#include "model/kernels/amx_pack.h"
#include "model/kernels/body.h"

namespace polygraft::kernels {
namespace {

constexpr int64_t kRowBlock = 256;    // rows of `a` that are cut into pieces at once
constexpr int64_t kUnitBlock = 192;   // units of weights: a multiple of 2 and 3 tiles
constexpr int64_t kDepthBlock = 256;  // depths of both
constexpr int64_t kDepthTiles = kDepthBlock / kTileDepth;
constexpr int64_t kRowTiles = kRowBlock / kTileSide, kUnitTiles = kUnitBlock / kTileSide;

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

/// kRows x kUnits tiles of sums.
struct TileTask {
  const char *a, *w;           // the first tile of the first row and unit tile
  int64_t a_stride, w_stride;  // bytes from one row or unit tile to the next
  int64_t depth_tiles;
  float* out;
  int64_t out_stride;  // floats
  bool accumulate;
};

template <int64_t kPieces, int kRows, int kUnits>
void multiply_task(const TileTask& task) {
  constexpr int kFirstA = kRows * kUnits, kFirstW = kFirstA + kRows;
  static_assert(kFirstW + kUnits <= 8);
  const int64_t out_bytes = task.out_stride * 4;
  const auto out = [&](int r, int u) {
    return task.out + r * kTileSide * task.out_stride + u * kTileSide;
  };
  repeat<kRows>([&](auto r) {
    repeat<kUnits>([&](auto u) {
      if (task.accumulate) {
        load_tile<r * kUnits + u>(out(r, u), out_bytes);
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
  repeat<kRows>([&](auto r) {
    repeat<kUnits>([&](auto u) { store_tile<r * kUnits + u>(out(r, u), out_bytes); });
  });
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

/// Sums at the rim of a product: through whole tiles beside `out`.
template <int64_t kPieces>
void run_rim_task(int64_t rows, int64_t units, const TileTask& task) {
  alignas(64) float whole[2 * kTileSide * 3 * kTileSide];
  const int64_t row_tiles = tiles_of(rows, kTileSide), unit_tiles = tiles_of(units, kTileSide);
  const int64_t stride = unit_tiles * kTileSide;
  for (int64_t r = 0; r < rows && task.accumulate; ++r) {
    std::memcpy(whole + r * stride, task.out + r * task.out_stride, static_cast<size_t>(units) * 4);
  }
  TileTask beside = task;
  beside.out = whole;
  beside.out_stride = stride;
  run_task<kPieces>(row_tiles, unit_tiles, beside);
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(task.out + r * task.out_stride, whole + r * stride, static_cast<size_t>(units) * 4);
  }
}

/// What lies in tiles: some rows and some units at some depths.
struct Packed {
  const char *a, *w;
  int64_t rows, units, depth_tiles;
};

template <int64_t kPieces>
void multiply_packed(const Packed& packed, float* out, int64_t out_stride, bool accumulate) {
  const int64_t row_tiles = tiles_of(packed.rows, kTileSide);
  const int64_t unit_tiles = tiles_of(packed.units, kTileSide);
  const int64_t rows_at_once = row_tiles == 1 ? 1 : 2, units_at_once = row_tiles == 1 ? 3 : 2;
  const int64_t a_stride = packed.depth_tiles * kPieces * kTileBytes;
  const int64_t w_stride = packed.depth_tiles * kTileBytes;
  for (int64_t u = 0; u < unit_tiles; u += units_at_once) {
    const int64_t units_here = smaller(units_at_once, unit_tiles - u);
    for (int64_t r = 0; r < row_tiles; r += rows_at_once) {
      const int64_t rows_here = smaller(rows_at_once, row_tiles - r);
      const TileTask task{packed.a + r * a_stride,
                          packed.w + u * w_stride,
                          a_stride,
                          w_stride,
                          packed.depth_tiles,
                          out + r * kTileSide * out_stride + u * kTileSide,
                          out_stride,
                          accumulate};
      const int64_t rows = smaller(rows_here * kTileSide, packed.rows - r * kTileSide);
      const int64_t units = smaller(units_here * kTileSide, packed.units - u * kTileSide);
      if (rows < rows_here * kTileSide || units < units_here * kTileSide) {
        run_rim_task<kPieces>(rows, units, task);
      } else {
        run_task<kPieces>(rows_here, units_here, task);
      }
    }
  }
}

template <int64_t kPieces>
constexpr int64_t kScratchFloats = (kRowTiles * kPieces + kUnitTiles) * kDepthTiles* kTileBytes / 4;

template <int64_t kPieces, Stored kStored>
void tile_product(const Product& product, float* scratch) {
  const TileSession session;
  char* a = reinterpret_cast<char*>(scratch);
  char* w = a + kRowTiles * kDepthTiles * kPieces * kTileBytes;
  for (int64_t row = 0; row < product.num_rows; row += kRowBlock) {
    const int64_t rows = smaller(kRowBlock, product.num_rows - row);
    for (int64_t k = 0; k < product.depth; k += kDepthBlock) {
      const int64_t depth = smaller(kDepthBlock, product.depth - k);
      pack_rows<kPieces>(product.a_rows + row, rows, k, depth, a);
      for (int64_t unit = 0; unit < product.num_units; unit += kUnitBlock) {
        const int64_t units = smaller(kUnitBlock, product.num_units - unit);
        pack_weights<kStored>(product, unit, units, k, depth, w);
        multiply_packed<kPieces>({a, w, rows, units, tiles_of(depth, kTileDepth)},
                                 product.out + row * product.out_stride + unit, product.out_stride,
                                 product.accumulate || k > 0);
      }
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
  operations.product_scratch = std::max(kScratchFloats<kPieces>, Body<Avx512>::kScratch);
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
