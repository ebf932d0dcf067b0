// tests/model/kernels/problem.cpp: see problem.h.
#include "tests/model/kernels/problem.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <thread>

#include "tests/model/kernels/path_under_test.h"

namespace polygraft::testing {
namespace {

using kernels::Stored;

uint16_t random_half(Random& random, Stored stored, double deviation) {
  const double value = std::normal_distribution<double>(0, deviation)(random);
  if (stored == Stored::kBF16) {
    const auto narrow = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &narrow, 4);
    return static_cast<uint16_t>(bits >> 16);
  }
  int exponent;
  const double fraction = std::frexp(std::abs(value), &exponent);  // in [0.5, 1)
  const auto sign = static_cast<uint16_t>(value < 0 ? 0x8000 : 0);
  if (exponent < -13) {  // a subnormal
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::abs(value) * 0x1p24));
  }
  const auto mantissa = static_cast<uint16_t>((fraction * 2 - 1) * 1024);
  return static_cast<uint16_t>(sign | ((exponent + 14) << 10) | mantissa);
}

/// [g | u], h and the rest of one slot, in float64.
struct Slot {
  std::vector<double> gate, up, h, y;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

Slot slot_forward(const MoeProblem& problem, int64_t token, size_t e) {
  const int64_t d = problem.shape.width, f = problem.shape.expert_width;
  const float* x = problem.x.data() + token * d;
  Slot slot;
  for (int64_t j = 0; j < f; ++j) {
    double gate = 0, up = 0;
    for (int64_t i = 0; i < d; ++i) {
      gate += double{problem.gate[e].values[j * d + i]} * x[i];
      up += double{problem.up[e].values[j * d + i]} * x[i];
    }
    slot.gate.push_back(gate);
    slot.up.push_back(up);
    slot.h.push_back(gate * sigmoid(gate) * up);
  }
  for (int64_t i = 0; i < d; ++i) {
    double y = 0;
    for (int64_t j = 0; j < f; ++j) y += double{problem.down[e].values[i * f + j]} * slot.h[j];
    slot.y.push_back(y);
  }
  return slot;
}

struct Sums {
  std::vector<double> out, d_x, d_weight;
  std::vector<std::vector<double>> d_gate_up, d_down;
};

void slot_backward(const MoeProblem& problem, int64_t token, int64_t slot_index, const Slot& slot,
                   Sums& sums) {
  const int64_t d = problem.shape.width, f = problem.shape.expert_width;
  const auto e = static_cast<size_t>(problem.expert[slot_index]);
  const double weight = problem.weight[slot_index];
  const float* d_out = problem.d_out.data() + token * d;
  const float* x = problem.x.data() + token * d;
  for (int64_t j = 0; j < f; ++j) {
    double p = 0;
    for (int64_t i = 0; i < d; ++i) p += double{problem.down[e].values[i * f + j]} * d_out[i];
    sums.d_weight[slot_index] += p * slot.h[j];
    const double s = sigmoid(slot.gate[j]);
    const double d_up = weight * p * slot.gate[j] * s;
    const double d_gate = weight * p * slot.up[j] * (s + slot.gate[j] * s * (1 - s));
    for (int64_t i = 0; i < d; ++i) {
      sums.d_x[token * d + i] +=
          d_gate * problem.gate[e].values[j * d + i] + d_up * problem.up[e].values[j * d + i];
      if (sums.d_gate_up[e].empty()) continue;
      sums.d_gate_up[e][j * d + i] += d_gate * x[i];
      sums.d_gate_up[e][(f + j) * d + i] += d_up * x[i];
      sums.d_down[e][i * f + j] += weight * d_out[i] * slot.h[j];
    }
  }
}

std::vector<float> narrowed(const std::vector<double>& wide) { return {wide.begin(), wide.end()}; }

}  // namespace

std::vector<float> random_floats(Random& random, int64_t count, double deviation) {
  std::normal_distribution<float> normal(0, static_cast<float>(deviation));
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

float stored_value(const char* bytes, Stored stored) {
  if (stored == Stored::kF32) {
    float value;
    std::memcpy(&value, bytes, 4);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  const int mantissa_bits = stored == Stored::kBF16 ? 7 : 10;
  const int exponent_bits = 15 - mantissa_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int one = exponent == 0 ? 0 : 1 << mantissa_bits;
  const double size = std::ldexp(one + mantissa, std::max(exponent, 1) - bias - mantissa_bits);
  return static_cast<float>((bits & 0x8000) != 0 ? -size : size);
}

float rounded(float value) {
  if (!std::isfinite(value) || value == 0) return value;
  int exponent;
  const double fraction = std::frexp(double{value}, &exponent);  // in [0.5, 1)
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(fraction, 8)), exponent - 8));
}

StoredMatrix random_matrix(Random& random, int64_t rows, int64_t columns, Stored stored,
                           double deviation) {
  StoredMatrix matrix{{}, rows, columns, static_cast<int64_t>(random() % 8), stored, {}};
  const int64_t count = rows * columns, element = kernels::bytes_of(stored);
  matrix.bytes.resize(static_cast<size_t>(matrix.offset + count * element));
  for (int64_t i = 0; i < count; ++i) {
    char* to = matrix.bytes.data() + matrix.offset + i * element;
    if (stored == Stored::kF32) {
      const float value = random_floats(random, 1, deviation)[0];
      std::memcpy(to, &value, 4);
    } else {
      const uint16_t value = random_half(random, stored, deviation);
      std::memcpy(to, &value, 2);
    }
    matrix.values.push_back(stored_value(to, stored));
  }
  return matrix;
}

void MoeProblem::sort_slots() {
  slot_of_row.resize(expert.size());
  std::iota(slot_of_row.begin(), slot_of_row.end(), 0);
  std::stable_sort(slot_of_row.begin(), slot_of_row.end(),
                   [&](int64_t a, int64_t b) { return expert[a] < expert[b]; });
  first_row.assign(static_cast<size_t>(shape.experts) + 1, 0);
  for (const int64_t e : expert) ++first_row[static_cast<size_t>(e) + 1];
  std::partial_sum(first_row.begin(), first_row.end(), first_row.begin());
  token_of_row.clear();
  row_of_slot.resize(expert.size());
  for (size_t row = 0; row < slot_of_row.size(); ++row) {
    token_of_row.push_back(slot_of_row[row] / shape.top_k);
    row_of_slot[static_cast<size_t>(slot_of_row[row])] = static_cast<int64_t>(row);
  }
}

MoeProblem random_problem(Random& random, MoeShape shape, Stored stored) {
  if (shape.num_active < 0) shape.num_active = shape.experts;
  if (shape.num_reachable < 0) shape.num_reachable = shape.experts;
  MoeProblem problem;
  problem.shape = shape;
  for (int64_t e = 0; e < shape.experts; ++e) {
    problem.gate.push_back(random_matrix(random, shape.expert_width, shape.width, stored, 0.3));
    problem.up.push_back(random_matrix(random, shape.expert_width, shape.width, stored, 0.3));
    problem.down.push_back(random_matrix(random, shape.width, shape.expert_width, stored, 0.3));
  }
  std::vector<int64_t> order(static_cast<size_t>(shape.num_reachable));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t t = 0; t < shape.tokens; ++t) {
    std::shuffle(order.begin(), order.end(), random);
    problem.expert.insert(problem.expert.end(), order.begin(), order.begin() + shape.top_k);
  }
  problem.weight = random_floats(random, shape.tokens * shape.top_k);
  problem.x = random_floats(random, shape.tokens * shape.width);
  problem.d_out = random_floats(random, shape.tokens * shape.width);
  problem.sort_slots();
  return problem;
}

MoeProblem MoeProblem::tokens(int64_t first, int64_t count) const {
  MoeProblem some = *this;
  some.shape.tokens = count;
  const auto cut = [&](auto& values, int64_t per_token) {
    values.assign(values.begin() + first * per_token, values.begin() + (first + count) * per_token);
  };
  cut(some.expert, shape.top_k);
  cut(some.weight, shape.top_k);
  cut(some.x, shape.width);
  cut(some.d_out, shape.width);
  some.sort_slots();
  return some;
}

kernels::MoeLayer MoeProblem::layer() const {
  kernels::MoeLayer layer;
  layer.num_tokens = shape.tokens;
  layer.top_k = shape.top_k;
  layer.width = shape.width;
  layer.expert_width = shape.expert_width;
  for (size_t e = 0; e < gate.size(); ++e) {
    layer.experts.push_back({gate[e].view(), up[e].view(), down[e].view()});
  }
  layer.num_active = shape.num_active;
  layer.first_row = first_row.data();
  layer.token_of_row = token_of_row.data();
  layer.slot_of_row = slot_of_row.data();
  layer.row_of_slot = row_of_slot.data();
  layer.weight = weight.data();
  return layer;
}

std::vector<float> run_forward(const MoeProblem& problem, const kernels::Threads& threads) {
  std::vector<float> out(problem.x.size(), 7);
  kernels::moe_forward({path_under_test(), threads}, problem.layer(), problem.x.data(), {},
                       out.data());
  return out;
}

MoeResults run(const MoeProblem& problem, const kernels::Threads& threads, int64_t first_trained,
               kernels::Stored kept) {
  const MoeShape& shape = problem.shape;
  const kernels::MoeLayer layer = problem.layer();
  const kernels::Runner runner{path_under_test(), threads};
  MoeResults results;
  results.out.assign(problem.x.size(), 7);
  results.d_x.assign(problem.x.size(), 7);
  results.d_weight.assign(problem.weight.size(), 7);
  results.d_gate_up.resize(problem.gate.size());
  results.d_down.resize(problem.gate.size());
  std::vector<char> kept_bytes(problem.weight.size() * 2 * shape.expert_width *
                               kernels::bytes_of(kept));
  const kernels::GateUp gate_up{kept_bytes.data(), kept};
  kernels::moe_forward(runner, layer, problem.x.data(), gate_up, results.out.data());
  kernels::MoeBackward backward{problem.x.data(),        problem.d_out.data(), gate_up,
                                results.d_weight.data(), results.d_x.data(),   {}};
  for (int64_t e = 0; e < shape.experts; ++e) {
    const auto i = static_cast<size_t>(e);
    if (e >= first_trained) {
      results.d_gate_up[i].assign(problem.gate[i].values.size() * 2, 7);
      results.d_down[i].assign(problem.down[i].values.size(), 7);
      backward.experts.push_back({results.d_gate_up[i].data(), results.d_down[i].data()});
    } else {
      backward.experts.push_back({});
    }
  }
  kernels::moe_backward(runner, layer, backward);
  return results;
}

MoeResults run_reference(const MoeProblem& problem, int64_t first_trained) {
  const MoeShape& shape = problem.shape;
  Sums sums;
  sums.out.resize(problem.x.size());
  sums.d_x.resize(problem.x.size());
  sums.d_weight.resize(problem.weight.size());
  sums.d_gate_up.resize(problem.gate.size());
  sums.d_down.resize(problem.gate.size());
  for (auto e = static_cast<size_t>(first_trained); e < problem.gate.size(); ++e) {
    sums.d_gate_up[e].resize(problem.gate[e].values.size() * 2);
    sums.d_down[e].resize(problem.down[e].values.size());
  }
  for (int64_t s = 0; s < shape.tokens * shape.top_k; ++s) {
    if (problem.expert[s] >= shape.num_active) continue;
    const int64_t token = s / shape.top_k;
    const Slot slot = slot_forward(problem, token, static_cast<size_t>(problem.expert[s]));
    for (int64_t i = 0; i < shape.width; ++i) {
      sums.out[token * shape.width + i] += double{problem.weight[s]} * slot.y[i];
    }
    slot_backward(problem, token, s, slot, sums);
  }
  MoeResults results{narrowed(sums.out), narrowed(sums.d_x), narrowed(sums.d_weight), {}, {}};
  for (size_t e = 0; e < problem.gate.size(); ++e) {
    results.d_gate_up.push_back(narrowed(sums.d_gate_up[e]));
    results.d_down.push_back(narrowed(sums.d_down[e]));
  }
  return results;
}

kernels::Threads threads(int count) {
  return {count, [count](int64_t num_tasks, const std::function<void(int64_t)>& task) {
            std::atomic<int64_t> next{0};
            std::vector<std::thread> workers;
            for (int i = 0; i < count; ++i) {
              workers.emplace_back([&] {
                for (int64_t t = next++; t < num_tasks; t = next++) task(t);
              });
            }
            for (std::thread& worker : workers) worker.join();
          }};
}

}  // namespace polygraft::testing
