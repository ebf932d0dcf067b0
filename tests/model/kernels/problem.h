// tests/model/kernels/problem.h: random matrices as they lie in a file, and random MoE layers.
#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "model/kernels/moe.h"

namespace polygraft::testing {

using Random = std::mt19937_64;

std::vector<float> random_floats(Random& random, int64_t count, double deviation = 1);

/// Random values, stored at an odd distance from an aligned address, and what they are.
struct StoredMatrix {
  std::vector<char> bytes;
  int64_t rows, columns, offset;
  kernels::Stored stored;
  std::vector<float> values;  ///< exactly those stored

  kernels::Matrix view() const {
    return {bytes.data() + offset, stored, columns * kernels::bytes_of(stored)};
  }
};
StoredMatrix random_matrix(Random& random, int64_t rows, int64_t columns, kernels::Stored stored,
                           double deviation = 1);
/// The value that `bytes` hold in `stored`, read bit by bit.
float stored_value(const char* bytes, kernels::Stored stored);

/// The nearest bfloat16 value, ties to even, by the definition.
float rounded(float value);

struct MoeShape {
  int64_t tokens, width, expert_width, experts, top_k;
  int64_t num_active = -1;     ///< -1: all
  int64_t num_reachable = -1;  ///< tokens choose among the first so many; -1: all
};

/// A layer with its weights, choices and inputs.
struct MoeProblem {
  MoeShape shape;
  std::vector<StoredMatrix> gate, up, down;
  std::vector<int64_t> expert, first_row, token_of_row, slot_of_row, row_of_slot;
  std::vector<float> weight, x, d_out;

  kernels::MoeLayer layer() const;
  /// The same layer and some of its tokens.
  MoeProblem tokens(int64_t first, int64_t count) const;
  void sort_slots();
};
MoeProblem random_problem(Random& random, MoeShape shape, kernels::Stored stored);

/// Everything a layer gives, forward and backward.
struct MoeResults {
  std::vector<float> out, d_x, d_weight;
  std::vector<std::vector<float>> d_gate_up, d_down;  ///< by expert; empty: frozen
};
/// The experts from `first_trained` on train. @param kept how forward leaves [g | u] to backward.
MoeResults run(const MoeProblem& problem, const kernels::Threads& threads, int64_t first_trained,
               kernels::Stored kept = kernels::Stored::kF32);
/// What forward alone gives, nothing kept.
std::vector<float> run_forward(const MoeProblem& problem, const kernels::Threads& threads);
/// The same by the definitions, in float64.
MoeResults run_reference(const MoeProblem& problem, int64_t first_trained);

/// Some std::threads.
kernels::Threads threads(int count);

}  // namespace polygraft::testing
