// model/architecture/kernel_call.cpp: see kernel_call.h.
#include "model/architecture/kernel_call.h"

#include <ATen/Parallel.h>

#include <atomic>

#include "model/kernels/dispatch.h"

namespace polygraft::model {
namespace {

kernels::Stored stored_as(at::ScalarType type) {
  if (type == at::kFloat) return kernels::Stored::kF32;
  return type == at::kBFloat16 ? kernels::Stored::kBF16 : kernels::Stored::kF16;
}

/// Whoever is free takes the next task: experts differ in size.
void run_tasks(int64_t num_tasks, const std::function<void(int64_t)>& task) {
  std::atomic<int64_t> next{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < num_tasks; i = next++) task(i);
  });
}

}  // namespace

bool suits_kernels(const at::Tensor& weight, at::ScalarType activations) {
  const at::ScalarType type = weight.scalar_type();
  const bool is_known = type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
  return activations == at::kFloat && is_known && weight.is_cpu() && kernels::operations().is_fast;
}

bool rounds_operands() { return kernels::precision() == kernels::Precision::kBFloat16; }

kernels::Matrix as_matrix(const at::Tensor& matrix) {
  TORCH_INTERNAL_ASSERT(matrix.dim() == 2 && matrix.stride(1) == 1);
  const kernels::Stored stored = stored_as(matrix.scalar_type());
  return {static_cast<const char*>(matrix.const_data_ptr()), stored,
          matrix.stride(0) * kernels::bytes_of(stored)};
}

kernels::Rows as_rows(const at::Tensor& rows) {
  TORCH_INTERNAL_ASSERT(rows.dim() == 2 && rows.stride(1) == 1);
  return {const_cast<float*>(rows.const_data_ptr<float>()), rows.stride(0)};
}

kernels::Runner kernel_runner() {
  thread_local kernels::Threads lent;
  lent = {at::get_num_threads(), run_tasks};
  return {kernels::operations(), lent};
}

}  // namespace polygraft::model
