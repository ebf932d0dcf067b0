// tests/model/kernels/path_under_test.h: the path that `--path NAME` chose.
#pragma once
#include "model/kernels/operations.h"

namespace polygraft::testing {

const kernels::Operations& path_under_test();

/// Whether it rounds once for a multiplication and an addition.
bool fuses_multiply_add();

/// Whether it multiplies such weights in tiles, whose additions come in another order.
bool multiplies_tiles(kernels::Stored stored);

/// Whether both operands are rounded to bfloat16 where weights are stored so.
bool rounds_operands(kernels::Stored stored);

}  // namespace polygraft::testing
