// tests/bench/moe_layer/moe_layer.cpp: our side of the MoE layer bench: the experts of one layer,
// forward and backward, on the arrays that compare.py wrote. The base is frozen and bfloat16, where
// it lies in the file; added experts train, in float32:
//   moe_layer FOLDER [PATH|bfloat16|cuda]  then lines "TOKENS REPEATS" on stdin;
//   answers one JSON line each: {"milliseconds": [...], "path": ...}; results of the last call are
//   in FOLDER/ours.*.bin
// and, without a folder (`-`), the machine's roofline. On a GPU everything is bfloat16 but the
// added experts' masters.
#include "model/architecture/moe_layer.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <iostream>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "model/architecture/device_layer.h"
#include "model/architecture/device_weights.h"
#include "model/architecture/gpu.h"
#include "model/kernels/dispatch.h"
#include "tests/bench/moe_layer/roofline.h"

namespace polygraft {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

at::Tensor map(const fs::path& file, at::IntArrayRef shape, at::ScalarType dtype) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  if (count == 0) return {};
  return at::from_file(file.string(), /*shared=*/true, count, at::TensorOptions(dtype)).view(shape);
}

void save(const fs::path& file, const at::Tensor& tensor) {
  auto out = at::from_file(file.string(), true, tensor.numel(), at::TensorOptions(at::kFloat));
  out.copy_(tensor.flatten());
}

struct Bench {
  at::Tensor x_TD, d_out_TD, weight_TK, expert_TK;
  model::SplitRows gate_up, down;
  std::optional<model::Gpu> gpu = std::nullopt;
};

/// On a GPU, as a transformer has it there.
void move_to_gpu(Bench& bench) {
  bench.gpu = model::open_gpu();
  const at::Device device = bench.gpu->device;
  bench.x_TD = bench.x_TD.to(device, at::kBFloat16);
  bench.d_out_TD = bench.d_out_TD.to(device, at::kBFloat16);
  bench.weight_TK = bench.weight_TK.to(device);
  bench.expert_TK = bench.expert_TK.to(device);
  for (model::SplitRows* rows : {&bench.gate_up, &bench.down}) {
    *rows = model::banked(device, *rows);
    if (rows->added.defined()) rows->added.requires_grad_();
  }
}

Bench read(const fs::path& folder) {
  const Json shape = read_json(folder / "shape.json");
  const auto size = [&](const char* name) { return shape.at(name).get<int64_t>(); };
  const int64_t d = size("width"), f = size("expert_width"), e = size("experts");
  const int64_t n = size("added"), k = size("top_k"), t = size("tokens");
  Bench bench;
  bench.x_TD = map(folder / "x.bin", {t, d}, at::kFloat);
  bench.d_out_TD = map(folder / "d_out.bin", {t, d}, at::kFloat);
  bench.weight_TK = map(folder / "weight.bin", {t, k}, at::kFloat);
  bench.expert_TK = map(folder / "expert.bin", {t, k}, at::kLong);
  bench.gate_up.base = map(folder / "gate_up.bin", {e, 2 * f, d}, at::kBFloat16);
  bench.down.base = map(folder / "down.bin", {e, d, f}, at::kBFloat16);
  bench.gate_up.added = map(folder / "added_gate_up.bin", {n, 2 * f, d}, at::kFloat);
  bench.down.added = map(folder / "added_down.bin", {n, d, f}, at::kFloat);
  for (auto* added : {&bench.gate_up.added, &bench.down.added}) {
    if (added->defined()) *added = added->clone().requires_grad_();
  }
  return bench;
}

struct Step {
  at::Tensor x_TD, weight_TK, out_TD;
};

Step run(const Bench& bench, int64_t tokens) {
  Step step{bench.x_TD.narrow(0, 0, tokens).detach().requires_grad_(),
            bench.weight_TK.narrow(0, 0, tokens).detach().requires_grad_(),
            {}};
  for (const auto& added : {bench.gate_up.added, bench.down.added}) {
    if (added.defined()) added.mutable_grad() = at::Tensor();
  }
  const model::Routing routing{step.weight_TK, bench.expert_TK.narrow(0, 0, tokens)};
  step.out_TD = bench.gpu ? model::moe_experts_on(*bench.gpu->executor, step.x_TD, routing,
                                                  bench.gate_up, bench.down)
                          : model::moe_experts(step.x_TD, routing, bench.gate_up, bench.down);
  step.out_TD.backward(bench.d_out_TD.narrow(0, 0, tokens));
  return step;
}

void save_results(const fs::path& folder, const Bench& bench, const Step& step) {
  save(folder / "ours.out.bin", step.out_TD.detach());
  save(folder / "ours.d_x.bin", step.x_TD.grad());
  save(folder / "ours.d_weight.bin", step.weight_TK.grad());
  if (bench.down.added.defined()) {
    save(folder / "ours.d_gate_up.bin", bench.gate_up.added.grad());
    save(folder / "ours.d_down.bin", bench.down.added.grad());
  }
}

int answer(const fs::path& folder, bool on_gpu) {
  Bench bench = read(folder);
  if (on_gpu) move_to_gpu(bench);
  int64_t tokens = 0, repeats = 0;
  while (std::cin >> tokens >> repeats) {
    Json line = {{"milliseconds", Json::array()},
                 {"path", on_gpu ? bench.gpu->name : kernels::operations().name}};
    Step step;
    for (int64_t i = 0; i < repeats; ++i) {
      if (on_gpu) model::finish_gpu_work();
      const auto start = Clock::now();
      step = run(bench, tokens);
      if (on_gpu) model::finish_gpu_work();
      const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
      line["milliseconds"].push_back(elapsed.count());
    }
    save_results(folder, bench, step);
    std::cout << line.dump() << std::endl;
  }
  return 0;
}

double seconds_of(int64_t repeats, const std::function<void()>& work) {
  work();
  model::finish_gpu_work();
  const auto start = Clock::now();
  for (int64_t i = 0; i < repeats; ++i) work();
  model::finish_gpu_work();
  return std::chrono::duration<double>(Clock::now() - start).count() / static_cast<double>(repeats);
}

/// What LibTorch gets out of the GPU: a large product, and a copy (bytes read and written).
int print_gpu_roofline() {
  const model::Gpu gpu = model::open_gpu();
  const at::NoGradGuard no_grad;
  constexpr int64_t kSize = 8192, kRepeats = 20;
  const auto options = at::TensorOptions(gpu.device).dtype(at::kBFloat16);
  const auto a = at::randn({kSize, kSize}, options), b = at::randn({kSize, kSize}, options);
  auto out = at::empty({kSize, kSize}, options);
  const double product = seconds_of(kRepeats, [&] { at::mm_out(out, a, b); });
  const auto from = at::empty({int64_t{1} << 32}, options.dtype(at::kByte));
  auto to = at::empty_like(from);
  const double copy = seconds_of(kRepeats, [&] { to.copy_(from); });
  const Json line = {{"device", gpu.name},
                     {"bf16_products", 2.0 * kSize * kSize * kSize / product},
                     {"memory_copy", 2.0 * static_cast<double>(from.nbytes()) / copy}};
  std::cout << line.dump() << "\n";
  return 0;
}

int print_roofline() {
  const bench::Roofline roofline = bench::measure_roofline(at::get_num_threads());
  const Json line = {{"fused_multiply_add", roofline.fused_multiply_add},
                     {"bf16_tiles", roofline.bf16_tiles},
                     {"memory_read", roofline.memory_read}};
  std::cout << line.dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace polygraft

int main(int argc, char** argv) {
  try {
    const bool on_gpu = argc == 3 && std::string_view(argv[2]) == "cuda";
    const bool has_folder = argc > 1 && std::string_view(argv[1]) != "-";
    if (!has_folder) return on_gpu ? polygraft::print_gpu_roofline() : polygraft::print_roofline();
    // "portable" is LibTorch on converted weights: that path's products are for tests alone.
    const bool rounds = argc == 3 && std::string_view(argv[2]) == "bfloat16";
    if (argc == 3 && !on_gpu && !rounds) polygraft::kernels::use_path(argv[2]);
    using polygraft::kernels::Precision;
    const polygraft::kernels::PrecisionScope scope(rounds ? Precision::kBFloat16
                                                          : Precision::kFloat32);
    return polygraft::answer(argv[1], on_gpu);
  } catch (const polygraft::Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.exit_code());
  }
}
