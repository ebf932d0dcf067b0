// model/device/swiglu.h: H = silu(g) * u of rows [g | u], silu(g) = g sigmoid(g), and its backward,
// which keeps nothing but [g | u]. With P = dO W2 (no router weight yet) and w a row's weight:
//   dw = <P, H>;  dH = w P;  du = dH silu(g);  dg = dH u sigmoid(g) (1 + g (1 - sigmoid(g)))
// and w H, of which the down matrices' gradient is made: dW2 = dO^T (w H). As in
// model/architecture/moe_experts.cpp (and SonicMoE, 2025). float32 inside, one rounding to bfloat16
// at the end. Legend: R rows, F expert width, G = 2F.
#pragma once
#include "model/device/number.h"

namespace polygraft::device {

POLYGRAFT_BODY inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

struct SwiGlu {
  static constexpr int kThreads = 128, kPhases = 1;
  struct Shared {};

  View<const Lanes> gate_up_RG;
  View<Lanes> h_RF;
  int64_t width_lanes = 0;  // F / kLanes

  POLYGRAFT_BODY int64_t num_blocks() const { return h_RF.size / width_lanes; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared&) const {
    const int64_t gate_row = at.block * 2 * width_lanes;
    for (int64_t i = at.thread; i < width_lanes; i += kThreads) {
      const Floats gate = to_floats(gate_up_RG.read(gate_row + i));
      const Floats up = to_floats(gate_up_RG.read(gate_row + width_lanes + i));
      Floats h;
      for (int lane = 0; lane < kLanes; ++lane) {
        h.values[lane] = gate.values[lane] * sigmoid(gate.values[lane]) * up.values[lane];
      }
      h_RF.write(at.block * width_lanes + i, to_lanes(h));
    }
  }
};

struct SwiGluBackward {
  static constexpr int kThreads = 128, kPhases = 1 + halvings(kThreads);
  struct Shared {
    SharedArray<float, kThreads> d_weight;
  };

  View<const Lanes> gate_up_RG;
  View<const Lanes> product_RF;  // P
  View<const int32_t> slot_of_row;
  View<const float> weight_TK;
  View<const int32_t> num_weighted_rows;  // [1]: the first so many rows of weighted_h are wanted
  View<Lanes> d_gate_up_RG;
  View<Lanes> weighted_h_RF;  // other rows are left as they are
  View<float> d_weight_TK;
  int64_t width_lanes = 0;  // F / kLanes

  POLYGRAFT_BODY int64_t num_blocks() const { return slot_of_row.size; }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    if constexpr (Phase == 0) {
      shared.d_weight.write(at.thread, differentiate_row(at));
    } else {
      halve<Phase>(shared.d_weight, at.thread);
      if (Phase == kPhases - 1 && at.thread == 0) {
        d_weight_TK.write(slot_of_row.read(at.block), shared.d_weight.read(0));
      }
    }
  }

 private:
  /// @return this thread's part of <P, H>.
  POLYGRAFT_BODY float differentiate_row(Place at) const {
    const float weight = weight_TK.read(slot_of_row.read(at.block));
    const bool wants_h = at.block < num_weighted_rows.read(0);
    float d_weight = 0;
    for (int64_t i = at.thread; i < width_lanes; i += kThreads) {
      const int64_t gate_at = at.block * 2 * width_lanes + i;
      Floats gate = to_floats(gate_up_RG.read(gate_at));
      Floats up = to_floats(gate_up_RG.read(gate_at + width_lanes));
      Floats h = to_floats(product_RF.read(at.block * width_lanes + i));
      for (int lane = 0; lane < kLanes; ++lane) {
        d_weight += differentiate(weight, gate.values[lane], up.values[lane], h.values[lane]);
      }
      d_gate_up_RG.write(gate_at, to_lanes(gate));
      d_gate_up_RG.write(gate_at + width_lanes, to_lanes(up));
      if (wants_h) weighted_h_RF.write(at.block * width_lanes + i, to_lanes(h));
    }
    return d_weight;
  }

  /// One unit: g, u and P become dg, du and w H. @return P H.
  POLYGRAFT_BODY static float differentiate(float weight, float& gate, float& up, float& product) {
    const float rate = sigmoid(gate);
    const float silu = gate * rate;
    const float h = silu * up;
    const float d_h = weight * product;
    const float d_weight = product * h;
    const float d_gate = d_h * up * rate * (1.0f + gate * (1.0f - rate));
    up = d_h * silu;
    gate = d_gate;
    product = weight * h;
    return d_weight;
  }
};

}  // namespace polygraft::device
