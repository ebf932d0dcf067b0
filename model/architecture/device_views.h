// model/architecture/device_views.h: tensors as the bodies of model/device see them.
#pragma once
#include <ATen/ATen.h>

#include "model/device/number.h"
#include "model/device/slot_notes.h"

namespace polygraft::model {

namespace device_views {

template <class T>
constexpr at::ScalarType kScalarType = c10::CppTypeToScalarType<T>::value;
template <>
inline constexpr at::ScalarType kScalarType<device::Lanes> = at::kBFloat16;
template <>
inline constexpr at::ScalarType kScalarType<device::SlotNote> = at::kLong;

}  // namespace device_views

/// All elements of a contiguous tensor; none of an undefined one. Lanes are eight bfloat16 values;
/// a note takes the place of an int64.
template <class T>
device::View<T> device_view(const at::Tensor& tensor) {
  using Value = std::remove_const_t<T>;
  if (!tensor.defined() || tensor.numel() == 0) return {};
  TORCH_CHECK(tensor.is_contiguous() && tensor.scalar_type() == device_views::kScalarType<Value>,
              "a body wants a contiguous tensor of its own dtype");
  const auto num_bytes = static_cast<int64_t>(tensor.nbytes());
  auto* data = static_cast<T*>(tensor.data_ptr());
  TORCH_CHECK(num_bytes % static_cast<int64_t>(sizeof(T)) == 0 &&
                  reinterpret_cast<uintptr_t>(data) % alignof(T) == 0,
              "a body's accesses want rows of whole, aligned elements");
  return {data, num_bytes / static_cast<int64_t>(sizeof(T))};
}

}  // namespace polygraft::model
