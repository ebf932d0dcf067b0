// model/kernels/moe_pieces.cpp: see moe_pieces.h.
#include "model/kernels/moe_pieces.h"

#include <algorithm>

namespace polygraft::kernels {
namespace {

constexpr int64_t kPiecesPerThread = 4;
constexpr int64_t kFewestRows = 24;                   // below, reading the weights again costs more
constexpr int64_t kColumnFloats = int64_t{16} << 20;  // 64 MiB of outputs at a time
constexpr int64_t kColumnStep = 128;                  // whole blocks of all paths but AMX
constexpr int64_t kTokensPerTask = 64;

/// Sums one token's rows.
void combine_token(const Operations& operations, const MoeLayer& layer, int64_t token,
                   const float* rows, int64_t count, const float* weight, float* out) {
  std::vector<const float*> parts;
  std::vector<float> weights;
  for (int64_t slot = token * layer.top_k; slot < (token + 1) * layer.top_k; ++slot) {
    const int64_t row = layer.row_of_slot[slot];
    if (row >= layer.num_active_rows()) continue;  // silenced
    parts.push_back(rows + row * count);
    if (weight != nullptr) weights.push_back(weight[slot]);
  }
  operations.combine(parts.data(), weight == nullptr ? nullptr : weights.data(),
                     static_cast<int64_t>(parts.size()), count, out);
}

}  // namespace

std::vector<Piece> cut_pieces(const MoeLayer& layer, const Runner& runner) {
  const int64_t tile = runner.operations.tile_rows;
  const int64_t wanted = kPiecesPerThread * runner.threads.count;
  const int64_t share = (layer.num_active_rows() + wanted - 1) / wanted;
  const int64_t most = std::clamp((share + tile - 1) / tile * tile, kFewestRows, kPieceRows);
  std::vector<Piece> pieces;
  for (int64_t e = 0; e < layer.num_active; ++e) {
    const int64_t rows = layer.first_row[e + 1] - layer.first_row[e];
    const int64_t count = (rows + most - 1) / most;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t begin = rows * i / count, end = rows * (i + 1) / count;
      pieces.push_back({e, layer.first_row[e] + begin, end - begin});
    }
  }
  return pieces;
}

void gather_rows(const MoeLayer& layer, const Piece& piece, const float* from, RowPointers& rows) {
  for (int64_t i = 0; i < piece.num_rows; ++i) {
    rows[static_cast<size_t>(i)] = from + layer.token_of_row[piece.first_row + i] * layer.width;
  }
}

void consecutive_rows(const float* first, int64_t stride, int64_t num_rows, RowPointers& rows) {
  for (int64_t i = 0; i < num_rows; ++i) rows[static_cast<size_t>(i)] = first + i * stride;
}

void multiply_and_combine(const Runner& runner, const MoeLayer& layer,
                          const std::vector<Piece>& pieces, const MultiplyPiece& multiply,
                          const float* weight, float* out) {
  const int64_t num_rows = std::max<int64_t>(layer.num_active_rows(), 1);
  const int64_t fitting = kColumnFloats / num_rows / kColumnStep * kColumnStep;
  const int64_t step = std::min(std::max(fitting, kColumnStep), layer.width);
  float* rows = scratch(Scratch::kOut, num_rows * step);
  const int64_t num_tasks = (layer.num_tokens + kTokensPerTask - 1) / kTokensPerTask;
  for (int64_t first = 0; first < layer.width; first += step) {
    const ColumnRange columns{first, std::min(step, layer.width - first)};
    runner.threads.run(static_cast<int64_t>(pieces.size()), [&](int64_t i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      multiply(piece, columns, rows + piece.first_row * columns.count, columns.count);
    });
    runner.threads.run(num_tasks, [&](int64_t task) {
      const int64_t end = std::min((task + 1) * kTokensPerTask, layer.num_tokens);
      for (int64_t token = task * kTokensPerTask; token < end; ++token) {
        combine_token(runner.operations, layer, token, rows, columns.count, weight,
                      out + token * layer.width + first);
      }
    });
  }
}

}  // namespace polygraft::kernels
