// model/kernels/avx512.cpp: the operations in AVX-512F (flags in CMakeLists.txt).
#if defined(__x86_64__)
#include "model/kernels/avx512_vector.h"
#include "model/kernels/body.h"

namespace polygraft::kernels {
namespace {

constexpr Operations kOperations = Body<Avx512>::operations("AVX-512F");

}  // namespace

const Operations& avx512_operations() { return kOperations; }

}  // namespace polygraft::kernels
#endif
