// tests/model/simulated_gpu/simulated_gpu_test.cpp: simulated GPUs notice what real ones would not
// forgive, and compute what the CPU does.
#include "tests/model/simulated_gpu/simulated_gpu.h"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

#include "model/architecture/device_views.h"
#include "model/architecture/upload.h"
#include "tests/model/parallel/patience.h"
#include "tests/model/simulated_gpu/memory.h"
#include "tests/model/simulated_gpu/simulated_nccl.h"

namespace polygraft::testing {
namespace {

at::Tensor on_gpu(const at::Tensor& tensor, int index = 0) {
  return tensor.to(simulated_gpu(index));
}

template <class Work>
size_t waits_of(const Work& work) {
  const WaitWatch watch;
  work();
  return watch.seen().size();
}

/// How a process that does `work` ends: the signal, or 0.
template <class Work>
int signal_of(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    std::signal(SIGSEGV, SIG_DFL);
    work();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST_CASE("a simulated GPU computes what the CPU does, gradients too", "[simulated_gpu]") {
  at::manual_seed(1);
  const auto x = at::randn({5, 4}), w = at::randn({3, 4});
  const auto ids = at::tensor({2, 0, 2, 1, 2}, at::kLong);
  const auto loss_of = [](const at::Tensor& x, const at::Tensor& w, const at::Tensor& ids) {
    const auto y = at::mm(x, w.t()).softmax(1).gather(1, ids.unsqueeze(1)).log();
    return (y * x.narrow(1, 1, 2).index_select(0, ids)).sum() + w.index({ids}).pow(2).mean();
  };
  const auto w_cpu = w.clone().requires_grad_(true);
  const auto w_gpu = on_gpu(w).requires_grad_(true);
  const auto expected = loss_of(x, w_cpu, ids);
  const auto found = loss_of(on_gpu(x), w_gpu, on_gpu(ids));
  expected.backward();
  found.backward();
  REQUIRE(found.device() == simulated_gpu());
  CHECK(at::equal(found.cpu(), expected));
  CHECK(at::equal(w_gpu.grad().cpu(), w_cpu.grad()));
}

TEST_CASE("operands that are not all on one GPU are refused", "[simulated_gpu]") {
  const auto x = at::ones({3});
  CHECK_THROWS_WITH(on_gpu(x) + x, Catch::Contains("same device"));
  CHECK_THROWS_WITH(on_gpu(x).index_select(0, at::zeros({1}, at::kLong)),
                    Catch::Contains("on the CPU"));
  CHECK_THROWS_WITH(at::dot(on_gpu(x), on_gpu(x, 1)), Catch::Contains("different GPUs"));
  CHECK_THROWS_WITH(on_gpu(x).to(simulated_gpu(1)), Catch::Contains("to another"));
  CHECK(at::equal((on_gpu(x) + at::scalar_tensor(2)).cpu(), at::full({3}, 3.0f)));
}

TEST_CASE("what makes the CPU wait is counted", "[simulated_gpu]") {
  const auto x = on_gpu(at::ones({4}));
  CHECK(waits_of([&] { x.add_(x.exp()).sum(); }) == 0);
  CHECK(waits_of([&] { x.sum().item<float>(); }) == 1);
  CHECK(waits_of([&] { x.cpu(); }) == 1);
  CHECK(waits_of([&] { x.nonzero(); }) == 1);
  CHECK(waits_of([&] { x.index({x > 0}); }) == 1);
  CHECK(waits_of([&] { x.index_put_({x > 0}, on_gpu(at::zeros({}))); }) == 1);
  CHECK(waits_of([&] { x.masked_fill(x > 0, 0); }) == 0);
  CHECK(waits_of([&] { on_gpu(at::ones({2})); }) == 1);
  CHECK(waits_of([&] { at::ones({2}).to(simulated_gpu(), at::kFloat, true); }) == 1);
  CHECK(waits_of([&] { at::ones({2}).pin_memory().to(simulated_gpu(), at::kFloat, true); }) == 0);
  CHECK(waits_of([&] { model::sent_to(simulated_gpu(), at::ones({2})); }) == 0);
  CHECK_THROWS_WITH(at::empty({4}).copy_(x, true), Catch::Contains("nobody waits"));
}

TEST_CASE("operations whose bits vary on a GPU are refused", "[simulated_gpu]") {
  const auto x = on_gpu(at::ones({4}));
  CHECK_THROWS_WITH(x.cumsum(0), Catch::Contains("vary"));
  CHECK_NOTHROW(x.to(at::kInt).cumsum(0, at::kInt));
  CHECK_THROWS_WITH(at::histc(x), Catch::Contains("vary"));
}

TEST_CASE("the CPU dies of reading a simulated GPU's memory", "[simulated_gpu]") {
  const auto x = on_gpu(at::ones({4}));
  CHECK(signal_of([&] { std::_Exit(*x.data_ptr<float>() == 1 ? 0 : 1); }) == SIGSEGV);
  CHECK(signal_of([&] { std::_Exit(*x.cpu().data_ptr<float>() == 1 ? 0 : 1); }) == 0);
}

/// Doubles.
struct Doubled {
  static constexpr int kThreads = 4, kPhases = 1;
  struct Shared {};
  device::View<const float> from;
  device::View<float> to;
  int64_t num_blocks() const { return 1; }
  template <int Phase>
  void run(device::Place at, Shared&) const {
    to.write(at.thread, 2 * from.read(at.thread));
  }
};

TEST_CASE("bodies reach a simulated GPU's memory, and none but that", "[simulated_gpu]") {
  const auto gpu = open_simulated_gpu();
  const auto x = at::ones({4}), y = on_gpu(x);
  const auto launch = [](const at::Tensor& from, const at::Tensor& to) {
    device::launch_on_host(
        Doubled{model::device_view<const float>(from), model::device_view<float>(to)},
        device::ThreadOrder::kForward, GpuMemory::instance().bounds());
  };
  launch(y, y);
  CHECK(at::equal(y.cpu(), at::full({4}, 2.0f)));
  CHECK_THROWS_WITH(launch(x, y), Catch::Contains("not the GPU's"));
}

TEST_CASE("ranks exchange what lies on their GPUs", "[simulated_gpu]") {
  run_on_gpus(2, kPatience, [](parallel::Communicator& world) {
    const auto mine = on_gpu(at::full({3}, 1.0f + static_cast<float>(world.rank())), world.rank());
    auto all = at::empty({6}, mine.options());
    world.all_gather({static_cast<const std::byte*>(mine.data_ptr()), mine.nbytes()},
                     {static_cast<std::byte*>(all.data_ptr()), all.nbytes()});
    const auto expected = at::tensor({1.0f, 1.0f, 1.0f, 2.0f, 2.0f, 2.0f});
    if (!at::equal(all.cpu(), expected)) throw std::logic_error("other bytes than were sent");
  });
}

TEST_CASE("what ranks send must stay until they have waited", "[simulated_gpu]") {
  CHECK_THROWS_WITH(run_on_gpus(2, kPatience,
                                [](parallel::Communicator& world) {
                                  std::array<std::byte, 1> mine{};
                                  std::array<std::byte, 2> all{};
                                  const auto pending = world.start_all_gather(mine, all);
                                  mine[0] = std::byte{1};
                                  pending->wait();
                                }),
                    Catch::Contains("has changed"));
}

TEST_CASE("nobody waits for a GPU behind an exchange but as ranks do", "[simulated_gpu]") {
  const std::string how = GENERATE("at once", "for the exchange", "for the GPU", "for a later one");
  const auto work = [&](parallel::Communicator& world) {
    const auto mine = on_gpu(at::ones({3}), world.rank());
    const auto all = at::empty({6}, mine.options());
    const auto start = [&] {
      return world.start_all_gather({static_cast<const std::byte*>(mine.data_ptr()), mine.nbytes()},
                                    {static_cast<std::byte*>(all.data_ptr()), all.nbytes()});
    };
    const auto pending = start();
    if (how == "for the exchange") {
      pending->wait();
    } else {
      pending->follow();
    }
    if (how == "for the GPU") world.wait_for_gpu();
    if (how == "for a later one") start()->wait();
    if (all.sum().item<float>() != 6) throw std::logic_error("other bytes than were sent");
  };
  if (how == "at once") {
    CHECK_THROWS_WITH(run_on_gpus(2, kPatience, work), Catch::Contains("may never end"));
  } else {
    CHECK_NOTHROW(run_on_gpus(2, kPatience, work));
  }
}

TEST_CASE("a simulated GPU has so much memory, and says how much was used", "[simulated_gpu]") {
  constexpr int kGpu = 3;
  auto& memory = GpuMemory::instance();
  memory.set_limit(kGpu, 1000);
  {
    const auto x = on_gpu(at::ones({200}), kGpu);
    CHECK_THROWS_AS(x + 1, c10::OutOfMemoryError);
    on_gpu(at::ones({20}), kGpu);
    CHECK_NOTHROW(on_gpu(at::ones({300})));
  }
  CHECK(memory.peak(kGpu) == 880);
  memory.set_limit(kGpu, GpuMemory::kBytes);
  CHECK(memory.peak(kGpu) == 0);
}

TEST_CASE("backward runs in the GPU's thread", "[simulated_gpu]") {
  const auto x = on_gpu(at::ones({2})).requires_grad_(true);
  std::thread::id thread;
  x.register_hook([&](const at::Tensor&) { thread = std::this_thread::get_id(); });
  (x * x).sum().backward();
  CHECK(thread != std::thread::id());
  CHECK(thread != std::this_thread::get_id());
}

}  // namespace
}  // namespace polygraft::testing
