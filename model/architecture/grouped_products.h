// model/architecture/grouped_products.h: products of sorted rows with a matrix for each group of
// them, in bfloat16 with float32 sums. GPUs from sm_90 on have them as one operation of LibTorch's,
// for which the groups' ends stay in the GPU's memory. On others it would read them at each call,
// and make a product of every group, empty ones too: there the CPU reads them once a layer. Legend:
// R rows, N groups, K and M widths.
#pragma once
#include <ATen/ATen.h>

namespace polygraft::model {

/// Where groups' rows end, ascending; rows of group i begin where those of i - 1 end.
struct GroupEnds {
  at::Tensor on_device;    ///< int32 [N]
  at::Tensor on_cpu = {};  ///< the same; undefined where the GPU has grouped products
};

/// @param rows_RK groups one behind the other. @param matrices_NKM of any strides. @return [R, M].
at::Tensor grouped_product(const at::Tensor& rows_RK, const at::Tensor& matrices_NKM,
                           const GroupEnds& ends);

/// Of each group's rows, left^T right. @return [N, K, M]; zero for a group without rows.
at::Tensor grouped_outer_sum(const at::Tensor& left_RK, const at::Tensor& right_RM,
                             const GroupEnds& ends);

}  // namespace polygraft::model
