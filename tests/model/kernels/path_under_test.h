// tests/model/kernels/path_under_test.h: the path that `--path NAME` chose.
#pragma once
#include "model/kernels/operations.h"

namespace polygraft::testing {

const kernels::Operations& path_under_test();

/// Whether it rounds once for a multiplication and an addition.
bool fuses_multiply_add();

}  // namespace polygraft::testing
