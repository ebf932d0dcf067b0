// cmake/torch_pch.h: what every file that sees tensors includes anyway. GCC instantiates the
// templates that a precompiled header's inline functions need once more in every file, so that a
// header which few files need costs all of them (nlohmann's: 1.4 s, autograd's: 1.8 s).
#pragma once
#include <ATen/ATen.h>
