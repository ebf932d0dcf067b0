// model/kernels/portable.cpp: the operations in the compiler's own vectors, for any processor. It
// multiplies and adds in two roundings, where the other paths have one.
#include "model/kernels/body.h"

namespace polygraft::kernels {
namespace {

struct Portable {
  using Reg = float __attribute__((vector_size(16)));
  using Integers = int32_t __attribute__((vector_size(16)));
  static constexpr bool kIsFast = false;
  static constexpr int kLanes = 4;
  static constexpr int kPanelRegs = 2;
  static constexpr int kTileRows = 4;
  static constexpr int kTransposed = 4;

  static Reg zero() { return Reg{}; }
  static Reg set(float value) { return Reg{value, value, value, value}; }
  static Reg load(const float* in) {
    Reg value;
    std::memcpy(&value, in, sizeof value);
    return value;
  }
  static void store(float* out, Reg value) { std::memcpy(out, &value, sizeof value); }
  static Reg load_first(const float* in, int64_t count) {
    Reg value{};
    for (int64_t i = 0; i < count; ++i) value[i] = in[i];
    return value;
  }
  static void store_first(float* out, int64_t count, Reg value) {
    for (int64_t i = 0; i < count; ++i) out[i] = value[i];
  }
  static Reg first(Reg value, int64_t count) {
    for (int64_t i = count; i < kLanes; ++i) value[i] = 0;
    return value;
  }
  static Reg broadcast(const float* in) { return set(*in); }
  static Reg add(Reg a, Reg b) { return a + b; }
  static Reg subtract(Reg a, Reg b) { return a - b; }
  static Reg multiply(Reg a, Reg b) { return a * b; }
  static Reg divide(Reg a, Reg b) { return a / b; }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return a * b + c; }
  static Reg at_most(Reg limit, Reg x) { return limit < x ? limit : x; }
  static Reg at_least(Reg limit, Reg x) { return limit > x ? limit : x; }
  static Reg nearest(Reg x) {
    const Reg magic = set(12582912.0F);  // 1.5 * 2^23: adding it leaves no bit below one
    return (x + magic) - magic;
  }
  static Reg times_power_of_two(Reg x, Reg n) {
    const Integers biased = (__builtin_convertvector(n, Integers) + 127) << 23;
    Reg power;
    std::memcpy(&power, &biased, sizeof power);
    return x * power;
  }

  template <Stored kStored>
  static Reg load_wide(const char* in) {
    Reg value;
    for (int i = 0; i < kLanes; ++i) value[i] = Body<Portable>::value_at<kStored>(in, i);
    return value;
  }
  template <Stored kStored>
  static void transpose(const char* const* rows, int64_t at, float* out, int64_t stride) {
    for (int r = 0; r < kTransposed; ++r) {
      for (int c = 0; c < kTransposed; ++c) {
        out[c * stride + r] = Body<Portable>::value_at<kStored>(rows[r] + at, c);
      }
    }
  }
};

constexpr Operations kOperations = Body<Portable>::operations("portable");

}  // namespace

const Operations& portable_operations() { return kOperations; }

}  // namespace polygraft::kernels
