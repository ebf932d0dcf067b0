// model/kernels/body.h: products, layout and dtype, and the table of all operations (elementwise.h
// has the others), once for every instruction set, as templates over a small vector type `I` (see
// avx2.cpp for what one has). Included by one file per instruction set, each compiled with its own
// flags: everything here is a template over a type of an anonymous namespace, and no other header's
// inline functions are used, so that the linker can never put one file's instructions into
// another's place.
//
// A product goes through the weights once, in blocks of kBlockPanels panels times kDepth: a block
// is widened to float32 (and, where units are rows, transposed) into panels [depth][kPanelWidth]
// that stay in cache, then multiplied with all rows by register tiles of up to kTileRows rows.
// While one block is widened the next is prefetched. Rows of `a` are read where they lie.
#pragma once
#include <cstdint>
#include <cstring>

#include "model/kernels/elementwise.h"
#include "model/kernels/operations.h"
#include "model/kernels/piece_rows.h"
#include "model/kernels/softmax_row.h"

namespace polygraft::kernels {

constexpr int64_t kDepth = 256;      // reduction indices of a block
constexpr int64_t kBlockPanels = 4;  // panels of a block
constexpr int64_t kLineBytes = 64;   // of a cache line

template <class I>
struct Body {
  using Reg = typename I::Reg;
  static constexpr int64_t kPanelWidth = I::kLanes * I::kPanelRegs;
  static constexpr int64_t kBlockUnits = kBlockPanels * kPanelWidth;
  static constexpr int64_t kScratch = kBlockUnits * kDepth;

  static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

  // ---- widening one value --------------------------------------------------------------------
  template <Stored kStored>
  static float value_at(const char* row, int64_t i) {
    if constexpr (kStored == Stored::kF32) {
      float value;
      std::memcpy(&value, row + 4 * i, 4);
      return value;
    } else {
      uint16_t bits;
      std::memcpy(&bits, row + 2 * i, 2);
      if constexpr (kStored == Stored::kBF16) {
        const uint32_t wide = uint32_t{bits} << 16;
        float value;
        std::memcpy(&value, &wide, 4);
        return value;
      } else {
        return half_value(bits);
      }
    }
  }

  static float half_value(uint16_t bits) {
    const uint32_t sign = uint32_t{bits & 0x8000U} << 16;
    const uint32_t exponent = (bits >> 10) & 31U, mantissa = bits & 1023U;
    uint32_t wide;
    if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact in float32
      const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;
      std::memcpy(&wide, &magnitude, 4);
    } else if (exponent == 31) {
      wide = 0x7f800000U | (mantissa << 13) | (mantissa != 0 ? 0x400000U : 0U);
    } else {
      wide = ((exponent + 112U) << 23) | (mantissa << 13);
    }
    wide |= sign;
    float value;
    std::memcpy(&value, &wide, 4);
    return value;
  }

  // ---- panels --------------------------------------------------------------------------------
  /// What is widened at once.
  struct Block {
    const char* data;  // weight of the first unit at the first depth
    int64_t row_bytes;
    int64_t units, depth;
    const char* next;  // where the block after it begins (to prefetch); any address will do
  };

  /// Units are rows: panel[k][u] = weight[u][k]. Lanes behind the last unit repeat it.
  template <Stored kStored>
  static void widen_transposed(const Block& block, float* panels) {
    constexpr int64_t kBytes = bytes_of(kStored), kStep = I::kTransposed;
    const int64_t whole = block.depth - block.depth % kStep;
    for (int64_t unit = 0; unit < block.units; unit += kStep) {
      const int64_t panel = unit / kPanelWidth;
      float* out = panels + panel * kPanelWidth * block.depth + unit % kPanelWidth;
      const char* rows[kStep];
      for (int64_t u = 0; u < kStep; ++u) {
        rows[u] = block.data + smaller(unit + u, block.units - 1) * block.row_bytes;
      }
      for (int64_t k = 0; k < whole; k += kStep) {
        if (k * kBytes % kLineBytes < kStep * kBytes) {
          const char* ahead = block.next + unit * block.row_bytes + k * kBytes;
          for (int64_t u = 0; u < kStep; ++u) {
            __builtin_prefetch(ahead + u * block.row_bytes, 0, 2);
          }
        }
        I::template transpose<kStored>(rows, k * kBytes, out + k * kPanelWidth, kPanelWidth);
      }
      for (int64_t k = whole; k < block.depth; ++k) {
        for (int64_t u = 0; u < kStep; ++u) {
          out[k * kPanelWidth + u] = value_at<kStored>(rows[u], k);
        }
      }
    }
  }

  /// Depths are rows: panel[k][u] = weight[k][u]. Lanes behind the last unit are zero.
  template <Stored kStored>
  static void widen_rows(const Block& block, float* panels) {
    constexpr int64_t kBytes = bytes_of(kStored);
    const int64_t whole_panels = block.units / kPanelWidth;
    const int64_t rest = block.units % kPanelWidth;
    for (int64_t k = 0; k < block.depth; ++k) {
      const char* row = block.data + k * block.row_bytes;
      const char* ahead = block.next + k * block.row_bytes;
      for (int64_t at = 0; at < block.units * kBytes; at += kLineBytes) {
        __builtin_prefetch(ahead + at, 0, 2);
      }
      for (int64_t panel = 0; panel < whole_panels; ++panel) {
        float* out = panels + (panel * block.depth + k) * kPanelWidth;
        for (int v = 0; v < I::kPanelRegs; ++v) {
          const int64_t unit = panel * kPanelWidth + v * I::kLanes;
          I::store(out + v * I::kLanes, I::template load_wide<kStored>(row + unit * kBytes));
        }
      }
      if (rest == 0) continue;
      float* out = panels + (whole_panels * block.depth + k) * kPanelWidth;
      for (int64_t u = 0; u < kPanelWidth; ++u) {
        out[u] = u < rest ? value_at<kStored>(row, whole_panels * kPanelWidth + u) : 0.0F;
      }
    }
  }

  template <Stored kStored>
  static void widen_block(const Block& block, bool units_are_rows, float* panels) {
    if (units_are_rows) {
      widen_transposed<kStored>(block, panels);
    } else {
      widen_rows<kStored>(block, panels);
    }
  }

  static void widen_block(const Block& block, const Product& product, float* panels) {
    switch (product.weight.stored) {
      case Stored::kF32:
        return widen_block<Stored::kF32>(block, product.units_are_rows, panels);
      case Stored::kBF16:
        return widen_block<Stored::kBF16>(block, product.units_are_rows, panels);
      case Stored::kF16:
        return widen_block<Stored::kF16>(block, product.units_are_rows, panels);
    }
  }

  // ---- register tiles ------------------------------------------------------------------------
  struct Tile {
    const float* const* a_rows;
    int64_t first_depth, depth;
    const float* panels;
    float* out;
    int64_t out_stride;
    bool accumulate;
  };

  template <int kRows, int kPanels>
  [[gnu::noinline]] static void multiply_tile(const Tile& tile) {  // inlined, it would spill
    constexpr int kRegs = kPanels * I::kPanelRegs;
    Reg sum[kRows][kRegs];
    const float* a[kRows];
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      a[r] = tile.a_rows[r] + tile.first_depth;
#pragma GCC unroll 16
      for (int v = 0; v < kRegs; ++v) {
        sum[r][v] =
            tile.accumulate ? I::load(tile.out + r * tile.out_stride + v * I::kLanes) : I::zero();
      }
    }
    const float* panel[kPanels];
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) panel[p] = tile.panels + p * tile.depth * kPanelWidth;
    const int64_t depth = tile.depth;
#pragma GCC unroll 4
    for (int64_t k = 0; k < depth; ++k) {
      Reg b[kRegs];
#pragma GCC unroll 16
      for (int v = 0; v < kRegs; ++v) {
        b[v] =
            I::load(panel[v / I::kPanelRegs] + k * kPanelWidth + (v % I::kPanelRegs) * I::kLanes);
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Reg x = I::broadcast(a[r] + k);
#pragma GCC unroll 16
        for (int v = 0; v < kRegs; ++v) sum[r][v] = I::multiply_add(x, b[v], sum[r][v]);
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < kRegs; ++v) {
        I::store(tile.out + r * tile.out_stride + v * I::kLanes, sum[r][v]);
      }
    }
  }

  /// Panels that a tile of so many rows takes at once: enough independent sums to hide latency.
  static constexpr int panels_at_once(int64_t rows) {
    if (rows * I::kPanelRegs >= 8) return 1;
    return rows * I::kPanelRegs >= 4 ? 2 : 4;
  }

  template <int kRows = 1>
  static void multiply_rows(int64_t rows, int panels, const Tile& tile) {
    if constexpr (kRows < I::kTileRows) {
      if (rows != kRows) return multiply_rows<kRows + 1>(rows, panels, tile);
    }
    constexpr int kMost = panels_at_once(kRows);
    if (kMost > 1 && panels == kMost) return multiply_tile<kRows, kMost>(tile);
    Tile one = tile;
    for (int p = 0; p < panels; ++p) {
      multiply_tile<kRows, 1>(one);
      one.panels += tile.depth * kPanelWidth;
      one.out += kPanelWidth;
    }
  }

  /// A panel with fewer units than lanes, through a whole tile beside `out`.
  static void multiply_ragged(int64_t rows, int64_t units, const Tile& tile) {
    float whole[I::kTileRows * kPanelWidth] = {};
    Tile beside = tile;
    beside.out = whole;
    beside.out_stride = kPanelWidth;
    for (int64_t r = 0; r < rows && tile.accumulate; ++r) {
      for (int64_t u = 0; u < units; ++u) {
        whole[r * kPanelWidth + u] = tile.out[r * tile.out_stride + u];
      }
    }
    multiply_rows(rows, 1, beside);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t u = 0; u < units; ++u) {
        tile.out[r * tile.out_stride + u] = whole[r * kPanelWidth + u];
      }
    }
  }

  /// All rows times one block.
  static void multiply_block(const Product& product, int64_t first_unit, int64_t units,
                             int64_t first_depth, int64_t depth, const float* panels) {
    const int64_t num_tiles = (product.num_rows + I::kTileRows - 1) / I::kTileRows;
    if (num_tiles == 0) return;
    const int64_t fewest = product.num_rows / num_tiles;
    const int64_t num_larger = product.num_rows % num_tiles;  // tiles of one row more
    const int64_t group = panels_at_once(fewest);
    for (int64_t unit = 0; unit < units; unit += group * kPanelWidth) {
      int64_t row = 0;
      for (int64_t t = 0; t < num_tiles; ++t) {
        const int64_t rows = fewest + (t < num_larger ? 1 : 0);
        Tile tile{product.a_rows + row,
                  first_depth,
                  depth,
                  panels + unit * depth,
                  product.out + row * product.out_stride + first_unit + unit,
                  product.out_stride,
                  product.accumulate || first_depth > 0};
        const int64_t here = smaller(group * kPanelWidth, units - unit);
        const int64_t whole = here / kPanelWidth;
        if (whole > 0) multiply_rows(rows, static_cast<int>(whole), tile);
        if (here > whole * kPanelWidth) {
          tile.panels += whole * kPanelWidth * depth;
          tile.out += whole * kPanelWidth;
          multiply_ragged(rows, here - whole * kPanelWidth, tile);
        }
        row += rows;
      }
    }
  }

  static void product(const Product& product, float* scratch) {
    const Matrix& weight = product.weight;
    const auto at = [&](int64_t unit, int64_t k) {
      return product.units_are_rows ? weight.from(unit, k).data : weight.from(k, unit).data;
    };
    for (int64_t unit = 0; unit < product.num_units; unit += kBlockUnits) {
      const int64_t units = smaller(kBlockUnits, product.num_units - unit);
      for (int64_t k = 0; k < product.depth; k += kDepth) {
        const int64_t depth = smaller(kDepth, product.depth - k);
        const bool last = k + depth == product.depth;
        const char* next = last ? at(unit + units, 0) : at(unit, k + depth);
        widen_block({at(unit, k), weight.row_bytes, units, depth, next}, product, scratch);
        multiply_block(product, unit, units, k, depth, scratch);
      }
    }
    if (product.depth == 0 && !product.accumulate) clear(product);
  }

  static void clear(const Product& product) {
    for (int64_t r = 0; r < product.num_rows; ++r) {
      for (int64_t u = 0; u < product.num_units; ++u) product.out[r * product.out_stride + u] = 0;
    }
  }

  // ---- layout and dtype ----------------------------------------------------------------------
  static void transpose(const float* in, int64_t in_stride, int64_t rows, int64_t columns,
                        float* out, int64_t out_stride) {
    constexpr int64_t kStep = I::kTransposed;
    const int64_t whole_rows = rows - rows % kStep, whole_columns = columns - columns % kStep;
    for (int64_t r = 0; r < whole_rows; r += kStep) {
      const char* from[kStep];
      for (int64_t i = 0; i < kStep; ++i) {
        from[i] = reinterpret_cast<const char*>(in + (r + i) * in_stride);
      }
      for (int64_t c = 0; c < whole_columns; c += kStep) {
        I::template transpose<Stored::kF32>(from, c * 4, out + c * out_stride + r, out_stride);
      }
    }
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t first = c < whole_columns ? whole_rows : 0;
      for (int64_t r = first; r < rows; ++r) out[c * out_stride + r] = in[r * in_stride + c];
    }
  }

  template <Stored kStored>
  static void widen_all(const char* in, int64_t count, float* out) {
    const int64_t whole = count - count % I::kLanes;
    for (int64_t i = 0; i < whole; i += I::kLanes) {
      I::store(out + i, I::template load_wide<kStored>(in + i * bytes_of(kStored)));
    }
    for (int64_t i = whole; i < count; ++i) out[i] = value_at<kStored>(in, i);
  }
  static void widen(const char* in, Stored stored, int64_t count, float* out) {
    switch (stored) {
      case Stored::kF32:
        return widen_all<Stored::kF32>(in, count, out);
      case Stored::kBF16:
        return widen_all<Stored::kBF16>(in, count, out);
      case Stored::kF16:
        return widen_all<Stored::kF16>(in, count, out);
    }
  }

  static void round_bf16(const float* in, int64_t count, char* out) {
    for (int64_t i = 0; i < count; ++i) {
      uint32_t bits;
      std::memcpy(&bits, in + i, 4);
      const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
      const uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
      const auto narrow = static_cast<uint16_t>(is_nan ? 0x7fc0U : rounded);
      std::memcpy(out + 2 * i, &narrow, 2);
    }
  }

  static constexpr Operations operations(const char* name) {
    using Each = Elementwise<I>;
    using Softmax = SoftmaxRow<I>;
    return {name,
            I::kIsFast,
            I::kTileRows,
            kPieceRows / I::kTileRows * I::kTileRows,
            kScratch,
            product,
            Each::swiglu,
            Each::swiglu_backward,
            Each::combine,
            Each::rms_norm,
            Each::rms_norm_backward,
            Each::rotate,
            Softmax::maximum,
            Softmax::exp_sum,
            Softmax::exp_difference,
            Softmax::scale_subtract,
            Softmax::softmax_gradient,
            transpose,
            widen,
            round_bf16};
  }
};

}  // namespace polygraft::kernels
