// tests/cuda/link_check.cpp: starts everything that the multi-GPU build links, and says what it
// found: LibTorch's CUDA part, c10d's TCPStore, NCCL, MPI, and a kernel of our own. Passes without
// a GPU; with one, the kernel's results are compared.
#include <ATen/ATen.h>
#include <cuda_runtime_api.h>
#include <mpi.h>
#include <nccl.h>
#include <torch/version.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "tests/cuda/link_check_kernel.h"

namespace polygraft::link_check {
namespace {

void require(bool condition, const std::string& what) {
  if (!condition) {
    throw std::runtime_error("MISMATCH: " + what);
  }
}

void check_libtorch() {
  int runtime = 0;
  require(cudaRuntimeGetVersion(&runtime) == cudaSuccess, "cudaRuntimeGetVersion failed");
  require(runtime / 1000 == CUDART_VERSION / 1000,
          "headers and runtime are of different CUDA major versions");
  require(at::hasCUDA() == (query_devices().num_devices > 0),
          "LibTorch and the CUDA runtime disagree about devices");
  std::printf("LibTorch %s, CUDA runtime %d.%d (compiled with %d.%d)\n", TORCH_VERSION,
              runtime / 1000, runtime % 1000 / 10, CUDART_VERSION / 1000,
              CUDART_VERSION % 1000 / 10);
}

void check_tcp_store() {
  c10d::TCPStoreOptions options;
  options.port = 0;  // any free one
  options.isServer = true;
  options.numWorkers = 1;
  c10d::TCPStore store("127.0.0.1", options);
  const std::vector<uint8_t> value = {'i', 'd'};
  store.set("language", value);
  require(store.get("language") == value, "TCPStore does not give back what was set");
  require(store.add("count", 3) == 3, "TCPStore does not count");
  std::printf("c10d TCPStore works (port %d)\n", static_cast<int>(store.getPort()));
}

/// The toolkit's older libnccl.so, picked up by accident, is what this is to notice.
void check_nccl() {
  int version = 0;
  require(ncclGetVersion(&version) == ncclSuccess, "ncclGetVersion failed");
  require(version == NCCL_VERSION_CODE, "nccl.h and libnccl.so are of different versions");
  const auto options = c10d::ProcessGroupNCCL::Options::create();  // defined in libtorch_cuda.so
  require(options->backend == "nccl",
          "ProcessGroupNCCL is not what libtorch_cuda.so was built with");
  ncclUniqueId id{};
  const ncclResult_t result = ncclGetUniqueId(&id);
  std::printf("NCCL %d.%d.%d, ncclGetUniqueId: %s\n", NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH,
              ncclGetErrorString(result));
  require(result == ncclSuccess || query_devices().num_devices == 0,
          "ncclGetUniqueId failed although there is a GPU");
}

void check_mpi(int& argc, char**& argv) {
  require(MPI_Init(&argc, &argv) == MPI_SUCCESS, "MPI_Init failed");
  int rank = -1, size = 0, num_characters = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  MPI_Get_library_version(version, &num_characters);
  *std::strchr(std::strcat(version, ","), ',') =
      '\0';  // the name and number; build details follow the first comma
  std::printf("%s, rank %d of %d\n", version, rank, size);
  int sum = 0;
  MPI_Allreduce(&rank, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Finalize();
  require(sum == size * (size - 1) / 2, "MPI_Allreduce gives a wrong sum");
}

void check_kernel() {
  const DeviceQuery query = query_devices();
  if (query.num_devices == 0) {
    std::printf("no CUDA device (%s): the kernel was linked, not run\n", query.reason);
    return;
  }
  const int num_wrong = count_wrong_results();
  require(num_wrong == 0,
          "the kernel's results differ in " + std::to_string(num_wrong) + " of 1000 values");
  std::printf("kernel results are right on sm_%d, %d CUDA device(s)\n", compute_capability(),
              query.num_devices);
}

}  // namespace
}  // namespace polygraft::link_check

int main(int argc, char** argv) {
  using namespace polygraft::link_check;
  try {
    check_libtorch();
    check_tcp_store();
    check_nccl();
    check_mpi(argc, argv);
    check_kernel();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::printf("link check passed\n");
  return 0;
}
