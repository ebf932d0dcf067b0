// model/device/rms_norm.h: root-mean-square norm of rows and its gradient for them, as
// model/architecture/rms_norm.h has them. With r = 1 / sqrt(mean(x^2) + eps):
//   y = bf16(x r) w;   g = dy w,  dx = r g - x r^3 mean(g x)
// float32 inside; x r is rounded before w, as the reference does. A block has 128 threads, which
// take several rows where those are short (a head's). Legend: R rows, D width.
#pragma once
#include "model/device/number.h"

namespace polygraft::device {

/// How a block's threads share out rows: a power of two of them have one each.
struct RowTeams {
  static constexpr int kThreads = 128;
  int64_t num_rows = 0, width_lanes = 0;

  POLYGRAFT_BODY int team_size() const {
    int size = kThreads;
    while (size / 2 >= width_lanes && size > 1) size /= 2;
    return size;
  }
  POLYGRAFT_BODY int64_t rows_per_block() const { return kThreads / team_size(); }
  POLYGRAFT_BODY int64_t num_blocks() const { return blocks_of(num_rows, rows_per_block()); }
  POLYGRAFT_BODY int64_t row_of(Place at) const {
    return at.block * rows_per_block() + at.thread / team_size();
  }
  POLYGRAFT_BODY int member(Place at) const { return at.thread % team_size(); }
  POLYGRAFT_BODY int first_thread(Place at) const { return at.thread - member(at); }

  /// One step of a sum over each team's values, which leaves it with the team's first thread. Step
  /// 1 .. halvings(kThreads), each a phase of its own.
  template <int Step>
  POLYGRAFT_BODY void halve_teams(SharedArray<float, kThreads>& values, Place at) const {
    constexpr int kLeft = kThreads >> Step;
    if (kLeft >= team_size() || member(at) >= kLeft) return;
    values.write(at.thread, values.read(at.thread) + values.read(at.thread + kLeft));
  }
};

struct RmsNorm {
  static constexpr int kThreads = RowTeams::kThreads, kPhases = 2 + halvings(kThreads);
  struct Shared {
    SharedArray<float, kThreads> sum;
  };

  View<const Lanes> x_RD;
  View<const Lanes> weight_D;
  View<Lanes> y_RD;
  View<float> inverse_R;  // r, for the way back
  RowTeams teams;
  float eps = 0;

  POLYGRAFT_BODY int64_t num_blocks() const { return teams.num_blocks(); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    if constexpr (Phase == 0) {
      shared.sum.write(at.thread, square_sum(at));
    } else if constexpr (Phase < kPhases - 1) {
      teams.halve_teams<Phase>(shared.sum, at);
    } else if (teams.row_of(at) < teams.num_rows) {
      const auto width = static_cast<float>(teams.width_lanes * kLanes);
      const float inverse = 1.0f / sqrtf(shared.sum.read(teams.first_thread(at)) / width + eps);
      if (teams.member(at) == 0) inverse_R.write(teams.row_of(at), inverse);
      write_row(at, inverse);
    }
  }

 private:
  POLYGRAFT_BODY float square_sum(Place at) const {
    float sum = 0;
    const int64_t row = teams.row_of(at);
    for (int64_t i = teams.member(at); row < teams.num_rows && i < teams.width_lanes;
         i += teams.team_size()) {
      const Floats x = to_floats(x_RD.read(row * teams.width_lanes + i));
      for (int lane = 0; lane < kLanes; ++lane) sum += x.values[lane] * x.values[lane];
    }
    return sum;
  }

  POLYGRAFT_BODY void write_row(Place at, float inverse) const {
    const int64_t first = teams.row_of(at) * teams.width_lanes;
    for (int64_t i = teams.member(at); i < teams.width_lanes; i += teams.team_size()) {
      Floats x = to_floats(x_RD.read(first + i));
      const Floats weight = to_floats(weight_D.read(i));
      for (int lane = 0; lane < kLanes; ++lane) {
        x.values[lane] = to_float(to_bfloat16(x.values[lane] * inverse)) * weight.values[lane];
      }
      y_RD.write(first + i, to_lanes(x));
    }
  }
};

struct RmsNormBackward {
  static constexpr int kThreads = RowTeams::kThreads, kPhases = 2 + halvings(kThreads);
  struct Shared {
    SharedArray<float, kThreads> sum;
  };

  View<const Lanes> x_RD;
  View<const Lanes> weight_D;
  View<const Lanes> d_y_RD;
  View<const float> inverse_R;
  View<Lanes> d_x_RD;
  RowTeams teams;

  POLYGRAFT_BODY int64_t num_blocks() const { return teams.num_blocks(); }

  template <int Phase>
  POLYGRAFT_BODY void run(Place at, Shared& shared) const {
    if constexpr (Phase == 0) {
      shared.sum.write(at.thread, projection_sum(at));
    } else if constexpr (Phase < kPhases - 1) {
      teams.halve_teams<Phase>(shared.sum, at);
    } else if (teams.row_of(at) < teams.num_rows) {
      write_row(at, shared.sum.read(teams.first_thread(at)));
    }
  }

 private:
  /// @return this thread's part of the sum of g x.
  POLYGRAFT_BODY float projection_sum(Place at) const {
    float sum = 0;
    const int64_t row = teams.row_of(at);
    for (int64_t i = teams.member(at); row < teams.num_rows && i < teams.width_lanes;
         i += teams.team_size()) {
      const Floats x = to_floats(x_RD.read(row * teams.width_lanes + i));
      const Floats g = scaled_gradient(row * teams.width_lanes, i);
      for (int lane = 0; lane < kLanes; ++lane) sum += g.values[lane] * x.values[lane];
    }
    return sum;
  }

  POLYGRAFT_BODY Floats scaled_gradient(int64_t first, int64_t i) const {
    Floats g = to_floats(d_y_RD.read(first + i));
    const Floats weight = to_floats(weight_D.read(i));
    for (int lane = 0; lane < kLanes; ++lane) g.values[lane] *= weight.values[lane];
    return g;
  }

  POLYGRAFT_BODY void write_row(Place at, float sum) const {
    const int64_t first = teams.row_of(at) * teams.width_lanes;
    const float inverse = inverse_R.read(teams.row_of(at));
    const auto width = static_cast<float>(teams.width_lanes * kLanes);
    const float projection = sum * inverse * inverse * inverse / width;
    for (int64_t i = teams.member(at); i < teams.width_lanes; i += teams.team_size()) {
      const Floats x = to_floats(x_RD.read(first + i));
      Floats g = scaled_gradient(first, i);
      for (int lane = 0; lane < kLanes; ++lane) {
        g.values[lane] = g.values[lane] * inverse - x.values[lane] * projection;
      }
      d_x_RD.write(first + i, to_lanes(g));
    }
  }
};

}  // namespace polygraft::device
