// tests/bench/moe_layer/roofline.cpp: see roofline.h.
#include "tests/bench/moe_layer/roofline.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "model/kernels/cpu_features.h"

namespace polygraft::bench {
namespace {

constexpr int64_t kTurns = 20'000'000;
constexpr int kSums = 16;  // independent ones: latency times throughput
constexpr int64_t kReadBytes = int64_t{1} << 29;

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double seconds_on(int num_threads, const std::function<void(int)>& work) {
  return seconds_of([&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < num_threads; ++i) threads.emplace_back(work, i);
    for (auto& thread : threads) thread.join();
  });
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] void add_up_512(int /*thread*/) {
  __m512 sums[kSums];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  __m512 a = _mm512_set1_ps(0.5F), b = _mm512_set1_ps(0.25F);
  for (int64_t i = 0; i < kTurns; ++i) {
#pragma GCC unroll 16
    for (auto& sum : sums) sum = _mm512_fmadd_ps(a, b, sum);
    asm volatile("" : "+v"(a), "+v"(b));
  }
  for (auto& sum : sums) asm volatile("" : : "v"(sum));
}

[[gnu::target("avx2,fma")]] void add_up_256(int /*thread*/) {
  constexpr int kFewer = 12;  // of 16 registers
  __m256 sums[kFewer];
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  __m256 a = _mm256_set1_ps(0.5F), b = _mm256_set1_ps(0.25F);
  for (int64_t i = 0; i < kTurns; ++i) {
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm256_fmadd_ps(a, b, sum);
    asm volatile("" : "+x"(a), "+x"(b));
  }
  for (auto& sum : sums) asm volatile("" : : "x"(sum));
}

void multiply_tiles(int /*thread*/) {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } const shapes;
  asm volatile("ldtilecfg %0" : : "m"(shapes));
  for (int64_t i = 0; i < kTurns / 8; ++i) {
    asm volatile(
        "tdpbf16ps %tmm7, %tmm6, %tmm0\n tdpbf16ps %tmm7, %tmm6, %tmm1\n"
        "tdpbf16ps %tmm7, %tmm6, %tmm2\n tdpbf16ps %tmm7, %tmm6, %tmm3\n");
  }
  asm volatile("tilerelease");
}

#endif

double memory_read(int num_threads) {
  std::vector<uint64_t> data(kReadBytes / 8, 1);
  const int64_t share = static_cast<int64_t>(data.size()) / num_threads;
  std::vector<uint64_t> sums(static_cast<size_t>(num_threads));
  const double seconds = seconds_on(num_threads, [&](int thread) {
    uint64_t sum = 0;
    for (int64_t i = thread * share; i < (thread + 1) * share; ++i) sum += data[i];
    sums[static_cast<size_t>(thread)] = sum;
  });
  asm volatile("" : : "r"(sums.data()) : "memory");
  return static_cast<double>(kReadBytes) / seconds;
}

}  // namespace

Roofline measure_roofline(int num_threads) {
  Roofline roofline{0, 0, memory_read(num_threads)};
#if defined(__x86_64__)
  const auto& features = kernels::cpu_features();
  const double turns = static_cast<double>(kTurns) * num_threads;
  if (features.avx512f) {
    roofline.fused_multiply_add = turns * kSums * 32 / seconds_on(num_threads, add_up_512);
  } else if (features.avx2) {
    roofline.fused_multiply_add = turns * 12 * 16 / seconds_on(num_threads, add_up_256);
  }
  constexpr double kTileOperations = 4 * 2.0 * 16 * 16 * 32;
  if (features.amx_bf16) {
    roofline.bf16_tiles = turns / 8 * kTileOperations / seconds_on(num_threads, multiply_tiles);
  }
#endif
  return roofline;
}

}  // namespace polygraft::bench
