// tests/model/simulated_gpu/operations.cpp: LibTorch's operations on simulated GPUs. Tensors are
// made, viewed and copied here; all else is done by LibTorch's own operation for the CPU, on the
// same bytes, once its operands are found to be where CUDA's would want them.
#include <ATen/EmptyTensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_native.h>
#include <torch/library.h>

#include <set>

#include "core/text.h"
#include "tests/model/simulated_gpu/memory.h"
#include "tests/model/simulated_gpu/waits.h"

namespace polygraft::testing {
namespace {

class Allocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t num_bytes) override {
    const c10::impl::VirtualGuardImpl guard(at::kPrivateUse1);
    if (num_bytes == 0) return {nullptr, guard.getDevice()};
    const c10::Device device = guard.getDevice();
    void* data = GpuMemory::instance().allocate(num_bytes, device.index());
    TORCH_CHECK_WITH(OutOfMemoryError, data != nullptr, "no memory left on ", device, " for ",
                     num_bytes, " bytes");
    return {data, data, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t num_bytes) const override {
    auto& memory = GpuMemory::instance();
    std::memcpy(memory.opened(to), memory.opened(from), num_bytes);
  }

 private:
  static void release(void* data) {
    if (data != nullptr) GpuMemory::instance().release(data);
  }
};

Allocator* allocator() {
  static Allocator one;
  return &one;
}

bool is_on_gpu(const at::Tensor& tensor) {
  return tensor.defined() && tensor.device().type() == at::kPrivateUse1;
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype,
                 std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  const c10::DeviceGuard guard(device.value());
  return at::detail::empty_generic(sizes, allocator(),
                                   c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   c10::dtype_or_default(dtype), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides,
                         std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                         std::optional<at::Device> device, std::optional<bool>) {
  const c10::DeviceGuard guard(device.value());
  return at::detail::empty_strided_generic(sizes, strides, allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           c10::dtype_or_default(dtype));
}

at::Tensor as_strided(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides,
                      std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(self, sizes, strides, offset);
}

at::Tensor view(const at::Tensor& self, at::IntArrayRef sizes) {
  return at::native::view(self, sizes);
}

at::Tensor reshape_alias(const at::Tensor& self, at::IntArrayRef sizes, at::IntArrayRef strides) {
  return at::native::_reshape_alias(self, sizes, strides);
}

/// A copy from the CPU or to it is waited for unless it is told not to be and the CPU's memory is
/// pinned; one to the CPU that is not waited for may not be there when it is read.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (is_on_gpu(from) && is_on_gpu(to) && from.device() != to.device()) {
    throw GpuError("a copy from one simulated GPU to another: ranks exchange by a Communicator");
  }
  if (is_on_gpu(from) && !is_on_gpu(to) && non_blocking) {
    throw GpuError("a copy to the CPU that nobody waits for");
  }
  if (from.numel() == 0) return to;
  if (is_on_gpu(from) != is_on_gpu(to) && !(non_blocking && from.is_pinned())) {
    note_wait((is_on_gpu(to) ? to : from).device().index(),
              concat("a copy of ", from.sizes(), is_on_gpu(to) ? " to the GPU" : " to the CPU"));
  }
  (is_on_gpu(to) ? opened(to) : to).copy_(is_on_gpu(from) ? opened(from) : from);
  return to;
}

/// Operations that wait for the GPU, since the CPU must know what it has computed.
bool waits_for_values(const std::string& name) {
  static const std::set<std::string> names = {"aten::_local_scalar_dense",
                                              "aten::equal",
                                              "aten::masked_select",
                                              "aten::nonzero",
                                              "aten::bincount",
                                              "aten::_unique2",
                                              "aten::repeat_interleave"};
  return names.contains(name);
}

/// Operations that CUDA refuses where the same bits are asked for
/// (torch.use_deterministic_algorithms of 2.11 to 2.15).
bool varies(const std::string& name, const std::vector<at::Tensor>& operands) {
  static const std::set<std::string> names = {"aten::put_",
                                              "aten::put",
                                              "aten::histc",
                                              "aten::nll_loss_forward",
                                              "aten::median",
                                              "aten::scatter_reduce",
                                              "aten::scatter_reduce_",
                                              "aten::nll_loss2d_forward"};
  if (name == "aten::bincount") return operands.size() > 1;  // weighted
  if (name == "aten::cumsum") return operands.front().is_floating_point();
  return names.contains(name);
}

/// One call: its operands on the CPU's side, and its results back again.
class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op), name_(op.schema().name()) {}

  void run(torch::jit::Stack* stack) {
    const auto operands = stack->end() - static_cast<int64_t>(op_.schema().arguments().size());
    std::for_each(operands, stack->end(), [this](const c10::IValue& value) { look_at(value); });
    check();
    std::transform(operands, stack->end(), operands,
                   [this](const c10::IValue& value) { return to_cpu(value); });
    {
      const at::AutoDispatchBelowADInplaceOrView below;
      op_.callBoxed(stack);
    }
    const auto results = stack->end() - static_cast<int64_t>(op_.schema().returns().size());
    std::transform(results, stack->end(), results,
                   [this](const c10::IValue& value) { return to_gpu(value); });
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw GpuError(concat(c10::toString(op_.operator_name()), ": ", what));
  }

  void look_at(const c10::IValue& value) {
    if (value.isTensor()) {
      if (value.toTensor().defined()) tensors_.push_back(value.toTensor());
    } else if (value.isList()) {
      for (const c10::IValue& one : value.toListRef()) look_at(one);
    } else if (value.isDevice() && value.toDevice().type() == at::kPrivateUse1) {
      device_ = value.toDevice();
    }
  }

  void check() {
    for (const at::Tensor& tensor : tensors_) {
      if (!is_on_gpu(tensor)) {
        if (tensor.dim() > 0)
          fail(concat("an operand of ", tensor.dim(), " dimensions on the CPU"));
        continue;
      }
      if (device_.has_value() && *device_ != tensor.device()) fail("operands on different GPUs");
      device_ = tensor.device();
    }
    if (varies(name_, tensors_)) fail("its bits vary on a GPU");
    if (waits_for_values(name_)) note_wait(device_.value().index(), name_);
    if (name_ == "aten::_grouped_mm") check_alignment();
  }

  /// As CUDA's own check has it: rows begin at multiples of 16 bytes.
  void check_alignment() const {
    for (const at::Tensor& tensor : {tensors_[0], tensors_[1]}) {
      const int64_t item = tensor.itemsize();
      int num_ones = 0;
      for (const int64_t stride : tensor.strides().slice(tensor.dim() - 2)) {
        num_ones += stride == 1 ? 1 : 0;
        if (stride != 1 && stride * item % 16 != 0) fail("rows that do not begin at 16 bytes");
      }
      if (num_ones == 0) fail("a matrix without neighbouring elements");
      if (tensor.storage_offset() * item % 16 != 0) fail("does not begin at 16 bytes");
    }
  }

  c10::IValue to_cpu(const c10::IValue& value) {
    if (value.isTensor() && is_on_gpu(value.toTensor())) {
      pairs_.emplace_back(opened(value.toTensor()), value.toTensor());
      return pairs_.back().first;
    }
    if (value.isDevice()) return at::Device(at::kCPU);
    if (!value.isList()) return value;
    c10::impl::GenericList list(value.toList().elementType());
    for (const c10::IValue& one : value.toListRef()) list.push_back(to_cpu(one));
    return list;
  }

  c10::IValue to_gpu(const c10::IValue& value) const {
    if (value.isTensor()) return value.toTensor().defined() ? moved(value.toTensor()) : value;
    if (!value.isList()) return value;
    c10::impl::GenericList list(value.toList().elementType());
    for (const c10::IValue& one : value.toListRef()) list.push_back(to_gpu(one));
    return list;
  }

  at::Tensor moved(const at::Tensor& result) const {
    for (const auto& [cpu, gpu] : pairs_) {
      if (!cpu.is_same(result)) continue;
      if (cpu.sizes() != gpu.sizes()) hand_over(copied(cpu), gpu);
      return gpu;
    }
    if (result.numel() > 0 && GpuMemory::instance().is_open_side(result.data_ptr())) {
      fail("a view that the simulated GPU does not know how to make");
    }
    return copied(result);
  }

  at::Tensor copied(const at::Tensor& result) const {
    const auto copy = at::empty_strided(result.sizes(), result.strides(),
                                        result.options().device(device_.value()));
    if (result.numel() > 0) opened(copy).copy_(result);
    return copy;
  }

  /// What resizing does: the tensor has other memory.
  static void hand_over(const at::Tensor& from, const at::Tensor& to) {
    c10::TensorImpl* impl = to.unsafeGetTensorImpl();
    impl->set_storage_keep_dtype(from.storage());
    impl->set_sizes_and_strides(from.sizes(), from.strides());
  }

  const c10::OperatorHandle& op_;
  std::string name_;
  std::optional<at::Device> device_;
  std::vector<at::Tensor> tensors_;
  std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;  // on the CPU's side, and as it is
};

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) { Call(op).run(stack); }

[[maybe_unused]] const bool allocator_is_registered = [] {
  c10::SetAllocator(at::kPrivateUse1, allocator());
  return true;
}();

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("as_strided", as_strided);
  library.impl("view", view);
  library.impl("_reshape_alias", reshape_alias);
  library.impl("_copy_from", copy_from);
  // What is made of other operations elsewhere is one on a GPU.
  library.impl("_grouped_mm", torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_cpu>());
}

}  // namespace

at::Tensor opened(const at::Tensor& tensor) {
  const auto options = at::TensorOptions(at::kCPU).dtype(tensor.scalar_type());
  if (tensor.numel() == 0) return at::empty_strided(tensor.sizes(), tensor.strides(), options);
  return at::from_blob(GpuMemory::instance().opened(tensor.data_ptr()), tensor.sizes(),
                       tensor.strides(), options);
}

}  // namespace polygraft::testing
